//! Least squares on the reference problems of NIST: Longley, Wampler 1 to 5, Filip.
//!
//! Data and certified values: Statistical Reference Datasets of the National Institute of Standards and Technology,
//! linear regression, <https://www.itl.nist.gov/div898/strd/lls/lls.shtml>; a work of the United States' government. The
//! number of right digits of x is −log₁₀(|x − c|/|c|) for the certified value c, of 15 digits.

use linalg::least_squares::LeastSquares;
use linalg::{Matrix, qr::Qr};

/// Employment, and six numbers of the economy (1947 to 1962): columns that nearly depend on each other.
const LONGLEY: [[f64; 7]; 16] = [
    [60323.0, 83.0, 234289.0, 2356.0, 1590.0, 107608.0, 1947.0],
    [61122.0, 88.5, 259426.0, 2325.0, 1456.0, 108632.0, 1948.0],
    [60171.0, 88.2, 258054.0, 3682.0, 1616.0, 109773.0, 1949.0],
    [61187.0, 89.5, 284599.0, 3351.0, 1650.0, 110929.0, 1950.0],
    [63221.0, 96.2, 328975.0, 2099.0, 3099.0, 112075.0, 1951.0],
    [63639.0, 98.1, 346999.0, 1932.0, 3594.0, 113270.0, 1952.0],
    [64989.0, 99.0, 365385.0, 1870.0, 3547.0, 115094.0, 1953.0],
    [63761.0, 100.0, 363112.0, 3578.0, 3350.0, 116219.0, 1954.0],
    [66019.0, 101.2, 397469.0, 2904.0, 3048.0, 117388.0, 1955.0],
    [67857.0, 104.6, 419180.0, 2822.0, 2857.0, 118734.0, 1956.0],
    [68169.0, 108.4, 442769.0, 2936.0, 2798.0, 120445.0, 1957.0],
    [66513.0, 110.8, 444546.0, 4681.0, 2637.0, 121950.0, 1958.0],
    [68655.0, 112.6, 482704.0, 3813.0, 2552.0, 123366.0, 1959.0],
    [69564.0, 114.2, 502601.0, 3931.0, 2514.0, 125368.0, 1960.0],
    [69331.0, 115.7, 518173.0, 4806.0, 2572.0, 127852.0, 1961.0],
    [70551.0, 116.9, 554894.0, 4007.0, 2827.0, 130081.0, 1962.0],
];

/// y and x, for a polynomial of degree 10.
const FILIP: [[f64; 2]; 82] = [
    [0.8116, -6.860120914],
    [0.9072, -4.324130045],
    [0.9052, -4.358625055],
    [0.9039, -4.358426747],
    [0.8053, -6.955852379],
    [0.8377, -6.661145254],
    [0.8667, -6.355462942],
    [0.8809, -6.118102026],
    [0.7975, -7.115148017],
    [0.8162, -6.815308569],
    [0.8515, -6.519993057],
    [0.8766, -6.204119983],
    [0.8885, -5.853871964],
    [0.8859, -6.109523091],
    [0.8959, -5.79832982],
    [0.8913, -5.482672118],
    [0.8959, -5.171791386],
    [0.8971, -4.851705903],
    [0.9021, -4.517126416],
    [0.909, -4.143573228],
    [0.9139, -3.709075441],
    [0.9199, -3.499489089],
    [0.8692, -6.300769497],
    [0.8872, -5.953504836],
    [0.89, -5.642065153],
    [0.891, -5.031376979],
    [0.8977, -4.680685696],
    [0.9035, -4.329846955],
    [0.9078, -3.928486195],
    [0.7675, -8.56735134],
    [0.7705, -8.363211311],
    [0.7713, -8.107682739],
    [0.7736, -7.823908741],
    [0.7775, -7.522878745],
    [0.7841, -7.218819279],
    [0.7971, -6.920818754],
    [0.8329, -6.628932138],
    [0.8641, -6.323946875],
    [0.8804, -5.991399828],
    [0.7668, -8.781464495],
    [0.7633, -8.663140179],
    [0.7678, -8.473531488],
    [0.7697, -8.247337057],
    [0.77, -7.971428747],
    [0.7749, -7.676129393],
    [0.7796, -7.352812702],
    [0.7897, -7.072065318],
    [0.8131, -6.774174009],
    [0.8498, -6.478861916],
    [0.8741, -6.159517513],
    [0.8061, -6.835647144],
    [0.846, -6.53165267],
    [0.8751, -6.224098421],
    [0.8856, -5.910094889],
    [0.8919, -5.598599459],
    [0.8934, -5.290645224],
    [0.894, -4.974284616],
    [0.8957, -4.64454848],
    [0.9047, -4.290560426],
    [0.9129, -3.885055584],
    [0.9209, -3.408378962],
    [0.9219, -3.13200249],
    [0.7739, -8.726767166],
    [0.7681, -8.66695597],
    [0.7665, -8.511026475],
    [0.7703, -8.165388579],
    [0.7702, -7.886056648],
    [0.7761, -7.588043762],
    [0.7809, -7.283412422],
    [0.7961, -6.995678626],
    [0.8253, -6.691862621],
    [0.8602, -6.392544977],
    [0.8809, -6.067374056],
    [0.8301, -6.684029655],
    [0.8664, -6.378719832],
    [0.8834, -6.065855188],
    [0.8898, -5.752272167],
    [0.8964, -5.132414673],
    [0.8963, -4.811352704],
    [0.9074, -4.098269308],
    [0.9119, -3.66174277],
    [0.9228, -3.2644011],
];

/// What Wampler 3 adds to the polynomial 1 + x + … + x⁵; Wampler 4 and 5 add 10² and 10⁴ times as much.
const NOISE: [f64; 21] = [
    759., -2048., 2048., -2048., 2523., -2048., 2048., -2048., 1838., -2048., 2048., -2048., 1838.,
    -2048., 2048., -2048., 2523., -2048., 2048., -2048., 759.,
];

/// Wampler 2: 1 + x/10 + … + x⁵/10⁵, to five decimals (exact but for that).
const WAMPLER_2: [f64; 21] = [
    1.00000, 1.11111, 1.24992, 1.42753, 1.65984, 1.96875, 2.38336, 2.94117, 3.68928, 4.68559,
    6.00000, 7.71561, 9.92992, 12.75603, 16.32384, 20.78125, 26.29536, 33.05367, 41.26528,
    51.16209, 63.00000,
];

/// Returns the powers 0 to `degree` of every x, a row per x.
fn powers(x: impl ExactSizeIterator<Item = f64> + Clone, degree: usize) -> Matrix<f64> {
    let x: Vec<f64> = x.collect();
    Matrix::from_fn(x.len(), degree + 1, |i, j| x[i].powi(j as i32))
}

/// Returns the number of right digits of the worst number, at most 15.
fn digits(found: &[f64], certified: &[f64]) -> f64 {
    assert_eq!(found.len(), certified.len());
    let error = |(x, c): (&f64, &f64)| (x - c).abs() / c.abs();
    let worst = found.iter().zip(certified).map(error).fold(0.0, f64::max);
    -worst.max(1e-15).log10()
}

struct Problem {
    name: &'static str,
    a: Matrix<f64>,
    b: Vec<f64>,
    coefficients: Vec<f64>,
    /// Empty where the certified ones are 0.
    errors: Vec<f64>,
    deviation: f64,
    /// The least number of digits of coefficients, and of standard errors.
    digits: [f64; 2],
}

fn problems() -> Vec<Problem> {
    let longley = Matrix::from_fn(16, 7, |i, j| if j == 0 { 1.0 } else { LONGLEY[i][j] });
    let fifth = powers((0..21).map(f64::from), 5);
    let polynomial: Vec<f64> = fifth.row_iter().map(|row| row.iter().sum()).collect();
    let noisy = |by: f64| {
        polynomial.iter().zip(NOISE).map(|(y, noise)| y + by * noise).collect::<Vec<f64>>()
    };
    let wampler = |name, by: f64| Problem {
        name,
        a: fifth.clone(),
        b: noisy(by),
        coefficients: vec![1.0; 6],
        errors: [
            2152.32624678170,
            2363.55173469681,
            779.343524331583,
            101.475507550350,
            5.64566512170752,
            0.112324854679312,
        ]
        .map(|e| e * by)
        .to_vec(),
        deviation: 2360.14502379268 * by,
        digits: [12.0, 13.0],
    };
    assert_eq!(noisy(1.0)[..5], [760., -2042., 2111., -1684., 3888.]);
    assert_eq!(noisy(100.0)[..5], [75901., -204794., 204863., -204436., 253665.]);
    vec![
        Problem {
            name: "Longley",
            a: longley,
            b: LONGLEY.map(|row| row[0]).to_vec(),
            coefficients: vec![
                -3482258.63459582,
                15.0618722713733,
                -0.358191792925910E-01,
                -2.02022980381683,
                -1.03322686717359,
                -0.511041056535807E-01,
                1829.15146461355,
            ],
            errors: vec![
                890420.383607373,
                84.9149257747669,
                0.334910077722432E-01,
                0.488399681651699,
                0.214274163161675,
                0.226073200069370,
                455.478499142212,
            ],
            deviation: 304.854073561965,
            digits: [13.0, 11.0],
        },
        Problem { name: "Wampler 1", errors: vec![], deviation: 0.0, ..wampler("", 0.0) },
        Problem {
            name: "Wampler 2",
            b: WAMPLER_2.to_vec(),
            coefficients: (0..6).map(|k| 10_f64.powi(-k)).collect(),
            errors: vec![],
            deviation: 0.0,
            ..wampler("", 0.0)
        },
        wampler("Wampler 3", 1.0),
        wampler("Wampler 4", 1e2),
        wampler("Wampler 5", 1e4),
        Problem {
            name: "Filip",
            a: powers(FILIP.iter().map(|row| row[1]), 10),
            b: FILIP.map(|row| row[0]).to_vec(),
            coefficients: vec![
                -1467.48961422980,
                -2772.17959193342,
                -2316.37108160893,
                -1127.97394098372,
                -354.478233703349,
                -75.1242017393757,
                -10.8753180355343,
                -1.06221498588947,
                -0.670191154593408E-01,
                -0.246781078275479E-02,
                -0.402962525080404E-04,
            ],
            errors: vec![
                298.084530995537,
                559.779865474950,
                466.477572127796,
                227.204274477751,
                71.6478660875927,
                15.2897178747400,
                2.23691159816033,
                0.221624321934227,
                0.142363763154724E-01,
                0.535617408889821E-03,
                0.896632837373868E-05,
            ],
            deviation: 0.334801051324544E-02,
            // The powers of x, rounded to f64, are another problem: its exact solution has 7.6 digits of the certified.
            digits: [7.5, 7.0],
        },
    ]
}

/// Coefficients, standard errors and the residual deviation. `cargo test -p glassbox-linalg --test laws nist --
/// --nocapture` prints the digits.
#[test]
fn certified_values() {
    for p in problems() {
        let fit = LeastSquares::of(&p.a, &p.b).unwrap();
        let plain = Qr::pivoted(&p.a)
            .unwrap()
            .solve(&Matrix::from_column_slice(p.b.len(), 1, &p.b))
            .unwrap();
        let found = digits(&fit.coefficients, &p.coefficients);
        let once = digits(plain.as_slice(), &p.coefficients);
        let largest = p.b.iter().fold(0.0_f64, |most, b| most.max(b.abs()));
        let errors = match p.errors.is_empty() {
            // An exact fit, to the roundings of y (Wampler 2 is not exact in binary).
            true => {
                assert!(fit.deviation().unwrap() <= 2.0 * f64::EPSILON * largest, "{}", p.name);
                15.0
            }
            false => digits(&fit.standard_errors().unwrap(), &p.errors),
        };
        println!(
            "{}: {found:.1} digits of coefficients ({once:.1} without refinement), {errors:.1} of errors",
            p.name
        );
        assert!(found >= p.digits[0] && errors >= p.digits[1], "{}: {found} {errors}", p.name);
        if p.deviation > 0.0 {
            let deviation = digits(&[fit.deviation().unwrap()], &[p.deviation]);
            assert!(deviation >= p.digits[1], "{}: {deviation}", p.name);
        }
    }
}

/// The rank does not depend on the units of columns, whose sizes here are from 1 to 10⁹.
#[test]
fn a_polynomial_of_degree_ten_has_full_rank() {
    let filip = problems().pop().unwrap();
    assert_eq!(Qr::pivoted(&filip.a).unwrap().rank(), 11);
    // By the singular values of the unscaled matrix it is 10, as in NumPy.
    assert_eq!(linalg::svd::rank(&filip.a).unwrap(), 10);
}
