"""Values of linear algebra by NumPy, SciPy and mpmath: writes linalg.json beside this file.

    pip install numpy==2.4.6 scipy==1.17.1 mpmath==1.3.0
    python tests/authority/linalg.py

Every row is {function, inputs, expected, source}; a matrix is two inputs, [rows, columns] and its elements column after
column. Values of mpmath were computed with 60 digits from the same f64 inputs and rounded once.
"""

import json
import math
import pathlib
import random

import mpmath
import numpy as np
import scipy
import scipy.linalg
import scipy.sparse.linalg
import scipy.stats

PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "mpmath": "1.3.0"}
for module in (np, scipy, mpmath):
    found = module.__version__.split("+")[0]
    assert found == PINNED[module.__name__], f"{module.__name__} {found}, pinned {PINNED[module.__name__]}"

NUMPY, SCIPY, MPMATH = "NumPy 2.4.6", "SciPy 1.17.1", "mpmath 1.3.0, 60 digits"
mpmath.mp.dps = 60
rows = []


def number(x):
    x = float(x)
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    return x


def listed(x):
    """A number, a vector or a matrix as lists: a matrix with its shape before it."""
    x = np.asarray(x, dtype=np.float64)
    flat = [number(v) for v in np.atleast_1d(x).ravel(order="F")]
    return [list(map(int, x.shape)), flat] if x.ndim == 2 else [flat]


def row(function, inputs, expected, source):
    expected = [number(v) for v in np.asarray(expected, dtype=np.float64).ravel(order="F")]
    inputs = [part for x in inputs for part in listed(x)]
    rows.append({"function": function, "inputs": inputs, "expected": expected, "source": source})


draw = random.Random(20)


def vector(n):
    return np.array([round(draw.uniform(-3, 3), 4) for _ in range(n)])


def matrix(m, n):
    return np.array([vector(n) for _ in range(m)])


def exact(x):
    return [mpmath.mpf(float(v)) for v in x]


def m_dot(x, y):
    return mpmath.fsum(a * b for a, b in zip(exact(x), exact(y)))


def m_norm(x):
    return mpmath.sqrt(m_dot(x, x))


def m_matrix(a):
    return mpmath.matrix([[mpmath.mpf(float(v)) for v in r] for r in a])


def m_function(a, f):
    """f of a symmetric matrix."""
    values, v = mpmath.eigsy(m_matrix(a))
    n = len(a)
    return [[mpmath.fsum(v[i, k] * f(values[k]) * v[j, k] for k in range(n)) for j in range(n)] for i in range(n)]


# --- vectors ----------------------------------------------------------------------------------------------------------

word, context = np.array([0.23, -0.87, 1.42, 0.05]), np.array([0.10, 0.30, -0.50, 0.80])
vectors = [(word, context), (vector(7), vector(7)), (vector(50), vector(50)), (1e200 * vector(5), 1e-200 * vector(5))]
for x, y in vectors:
    row("l1", [x], np.linalg.norm(x, 1), NUMPY)
    row("linf", [x], np.linalg.norm(x, np.inf), NUMPY)
    row("l2", [x], m_norm(x), MPMATH)
    row("distance", [x, y], mpmath.sqrt(mpmath.fsum((a - b) ** 2 for a, b in zip(exact(x), exact(y)))), MPMATH)
    cosine = m_dot(x, y) / (m_norm(x) * m_norm(y))
    row("cosine", [x, y], cosine, MPMATH)
    row("angle", [x, y], mpmath.acos(cosine), MPMATH)
    row("scaled_dot", [x, y], m_dot(x, y) / mpmath.sqrt(len(x)), MPMATH)
# Where the arc cosine of a cosine in f64 has lost every digit.
for tiny in (1e-5, 1e-9, 1e-15):
    x, y = [1.0, 2.0], [1.0 - 2.0 * tiny, 2.0 + tiny]
    row("angle", [x, y], mpmath.acos(m_dot(x, y) / (m_norm(x) * m_norm(y))), MPMATH)
    y = [-v for v in y]
    row("angle", [x, y], mpmath.acos(m_dot(x, y) / (m_norm(x) * m_norm(y))), MPMATH)

# --- matrices of any shape --------------------------------------------------------------------------------------------

deficient = matrix(5, 2) @ matrix(2, 4)
for a in (matrix(3, 3), matrix(6, 4), matrix(2, 5)):
    row("induced_1", [a], np.linalg.norm(a, 1), NUMPY)
    row("induced_infinity", [a], np.linalg.norm(a, np.inf), NUMPY)
    row("frobenius", [a], np.linalg.norm(a, "fro"), NUMPY)
    row("spectral", [a], np.linalg.norm(a, 2), NUMPY)
    row("nuclear", [a], np.linalg.norm(a, "nuc"), NUMPY)
    values = [v for v in mpmath.svd_r(m_matrix(a), compute_uv=False)]
    row("singular_values", [a], values, MPMATH)
    row("condition_number", [a], values[0] / values[-1], MPMATH)
    row("rank", [a], np.linalg.matrix_rank(a), NUMPY)
    squares = [v * v for v in values]
    row("stable_rank", [a], mpmath.fsum(squares) / squares[0], MPMATH)
    row("effective_rank", [a], np.exp(scipy.stats.entropy([float(v) for v in values])), SCIPY)
    row("gram", [a], a.T @ a, NUMPY)
    u, s, vt = np.linalg.svd(a)
    row("low_rank_2", [a], (u[:, :2] * s[:2]) @ vt[:2], NUMPY)
    row("low_rank_2_error", [a], [s[2] if len(s) > 2 else 0.0, np.linalg.norm(s[2:])], NUMPY)
row("rank", [deficient], np.linalg.matrix_rank(deficient), NUMPY)
row("rank", [np.ones((3, 5))], np.linalg.matrix_rank(np.ones((3, 5))), NUMPY)
row("spectral", [np.ones((3, 5))], mpmath.sqrt(15), MPMATH)

cloud = matrix(3, 9)
covariance = np.cov(cloud)
variances = np.linalg.eigvalsh(covariance)[::-1]
row("principal_variances", [cloud], variances, NUMPY)
row("principal_explained_2", [cloud], variances[:2].sum() / variances.sum(), NUMPY)

w, x, b = matrix(3, 4), matrix(4, 2), matrix(3, 1)
row("affine", [w, x, b], w @ x + b, NUMPY)
p, q = vector(3), vector(4)
row("outer", [p, q], np.outer(p, q), NUMPY)
down, up = matrix(2, 4), matrix(3, 2)
row("merge_alpha_3", [w, down, up], w + (3.0 / 2.0) * (up @ down), NUMPY)
span, point = matrix(5, 2), matrix(5, 1)
row("onto_span", [point, span], span @ (np.linalg.pinv(span) @ point), NUMPY)

# --- square matrices --------------------------------------------------------------------------------------------------

hilbert = np.array([[1.0 / (i + j + 1) for j in range(6)] for i in range(6)])
for a in (matrix(2, 2), matrix(4, 4), matrix(7, 7), hilbert, 1e-150 * matrix(3, 3)):
    row("trace", [a], np.trace(a), NUMPY)
    determinant = mpmath.det(m_matrix(a))
    row("log_determinant", [a], [mpmath.sign(determinant), mpmath.log(abs(determinant))], MPMATH)
    right = vector(len(a)).reshape(-1, 1)
    row("solve", [a, right], [v for v in mpmath.lu_solve(m_matrix(a), m_matrix(right))], MPMATH)

for a in (np.array([[2.0, 1.0], [1.0, 2.0]]), *(s + s.T for s in (matrix(3, 3), matrix(6, 6)))):
    row("eigenvalues", [a], sorted(mpmath.eigsy(m_matrix(a), eigvals_only=True), reverse=True), MPMATH)

for m in (matrix(3, 5), matrix(4, 6), 1e100 * matrix(2, 3)):
    a = m @ m.T
    a = (a + a.T) / 2
    row("cholesky", [a], np.linalg.cholesky(a), NUMPY)
    row("cholesky_log_determinant", [a], mpmath.log(mpmath.det(m_matrix(a))), MPMATH)
    right = vector(len(a)).reshape(-1, 1)
    row("cholesky_solve", [a, right], [v for v in mpmath.lu_solve(m_matrix(a), m_matrix(right))], MPMATH)
    row("square_root", [a], m_function(a, mpmath.sqrt), MPMATH)
    row("logarithm", [a], m_function(a, mpmath.log), MPMATH)

s = matrix(12, 12)
s = s + s.T
ends = scipy.sparse.linalg.eigsh(s, k=2, which="BE", return_eigenvectors=False, tol=1e-15)
row("lanczos_ends", [s], [max(ends), min(ends)], SCIPY)
chain = np.array([[0.5, 0.25, 0.1], [0.3, 0.5, 0.4], [0.2, 0.25, 0.5]])
_, vectors = scipy.linalg.eig(chain)
stationary = np.abs(np.real(vectors[:, 0]))
row("stationary", [chain], stationary / stationary.sum(), SCIPY)

# --- positions --------------------------------------------------------------------------------------------------------


def m_rotate(x, position, base, pairs):
    d, out = len(x), [None] * len(x)
    for i in range(d // 2):
        p, q = (2 * i, 2 * i + 1) if pairs == "neighbours" else (i, i + d // 2)
        angle = position * mpmath.power(base, mpmath.mpf(-2 * i) / d)
        cos, sin = mpmath.cos(angle), mpmath.sin(angle)
        a, b = mpmath.mpf(float(x[p])), mpmath.mpf(float(x[q]))
        out[p], out[q] = a * cos - b * sin, a * sin + b * cos
    return out


for position, base in ((1, 10000), (17, 10000), (2047, 10000), (131071, 500000)):
    x = vector(8)
    for pairs in ("neighbours", "halves"):
        row(f"rotate_{pairs}", [x, position, base], m_rotate(x, position, base, pairs), MPMATH)
    code = [f(position * mpmath.power(base, mpmath.mpf(-2 * i) / 6)) for i in range(3) for f in (mpmath.sin, mpmath.cos)]
    row("sinusoid_6", [position, base], code, MPMATH)

# --- systems without a square, spectra without symmetry -----------------------------------------------------------------

for m, n in ((5, 2), (9, 4), (4, 4)):
    a, right = matrix(m, n), vector(m)
    # By the normal equations, at 60 digits: AᵀA = RᵀR.
    square = m_matrix(a).T * m_matrix(a)
    row("triangle", [a], [v for j in range(n) for v in mpmath.cholesky(square).T[:, j]], MPMATH)
    found = mpmath.lu_solve(square, m_matrix(a).T * mpmath.matrix(exact(right)))
    row("least_squares", [a, right], [v for v in found], MPMATH)
    if m > n:
        rest = mpmath.matrix(exact(right)) - m_matrix(a) * found
        deviation = mpmath.sqrt(mpmath.fsum(v * v for v in rest) / (m - n))
        inverse = square**-1
        row("standard_errors", [a, right], [deviation * mpmath.sqrt(inverse[j, j]) for j in range(n)], MPMATH)
    row("pseudo_inverse", [a], np.linalg.pinv(a), NUMPY)
    row("polar", [a], scipy.linalg.polar(a)[0], SCIPY)
row("pseudo_inverse", [deficient], np.linalg.pinv(deficient, rcond=1e-10), NUMPY)
right = vector(5)
row("shortest_solution", [deficient, right], np.linalg.lstsq(deficient, right, rcond=1e-10)[0], NUMPY)
for n in (3, 5, 8):
    a = matrix(n, n)
    values = mpmath.eig(m_matrix(a), left=False, right=False)
    values = sorted(values, key=lambda v: (-round(float(abs(v)), 12), -v.imag))
    row("any_eigenvalues", [a], [part for v in values for part in (v.real, v.imag)], MPMATH)
    row("spectral_radius", [a], abs(values[0]), MPMATH)

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
print(f"{len(rows)} rows, {sum(len(r['expected']) for r in rows)} values")
