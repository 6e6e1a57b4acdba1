"""Values of information theory by SciPy, PyTorch, NumPy and mpmath: writes infotheory.json beside this file.

    pip install numpy==2.4.6 scipy==1.17.1 torch==2.15.0 mpmath==1.3.0
    python tests/authority/infotheory.py

Every row is {function, inputs, expected, source}; a matrix is two inputs, [rows, columns] and its elements column after
column. Values of mpmath were computed with 60 digits from the same f64 inputs and rounded once. Distributions are
rounded to multiples of 2^-40, so that they sum to exactly one.
"""

import json
import math
import pathlib

import mpmath
import numpy as np
import scipy
import scipy.spatial.distance
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F

PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "torch": "2.15.0", "mpmath": "1.3.0"}
for module in (np, scipy, torch, mpmath):
    found = module.__version__.split("+")[0]
    assert found == PINNED[module.__name__], f"{module.__name__} {found}, pinned {PINNED[module.__name__]}"

NUMPY, SCIPY, TORCH, MPMATH = "NumPy 2.4.6", "SciPy 1.17.1", "PyTorch 2.15.0, float64", "mpmath 1.3.0, 60 digits"
mpmath.mp.dps = 60
rng = np.random.default_rng(3)
rows = []


def number(x):
    x = float(x)
    return x if math.isfinite(x) else "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"


def put(function, inputs, expected, source):
    inputs = [[number(x) for x in np.ravel(np.asarray(i, dtype=float))] for i in inputs]
    expected = [number(x) for x in np.ravel(np.asarray(expected, dtype=object))]
    rows.append({"function": function, "inputs": inputs, "expected": expected, "source": source})


def exact(p):
    """The distribution on a grid of 2^-40: exactly one in sum."""
    p = np.floor(np.asarray(p) * 2**40)
    p[np.argmax(p)] += 2**40 - p.sum()
    p = p / 2**40
    assert p.sum() == 1 and (p >= 0).all()
    return p


def drawn(n, concentration=0.5):
    return exact(rng.dirichlet(np.full(n, concentration)))


PAIRS = [
    ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]),
    ([0.4, 0.3, 0.2, 0.1], [0.25] * 4),
    ([0.9, 0.05, 0.03, 0.02], [0.25] * 4),
] + [(drawn(n), drawn(n, 5.0)) for n in (2, 3, 8, 33, 200)]

# One distribution.
for p, _ in PAIRS + [([1.0, 0.0], None), ([0.5, 0.0, 0.5], None), (exact(np.full(7, 1 / 7)), None)]:
    put("entropy", [p], [scipy.stats.entropy(p)], SCIPY)
    put("entropy_bits", [p], [scipy.stats.entropy(p, base=2)], SCIPY)
    put("perplexity", [p], [mpmath.exp(-sum(mpmath.mpf(x) * mpmath.log(x) for x in p if x > 0))], MPMATH)
for p in (0.5, 0.9, 0.1, 1 / 3, 1e-3, 1e-12, 1e-300, 1 - 1e-9):
    x = mpmath.mpf(p)
    put("self_information", [[p]], [-mpmath.log(x)], MPMATH)
    put("binary_entropy", [[p]], [-x * mpmath.log(x) - (1 - x) * mpmath.log1p(-x)], MPMATH)

# Two.
for p, q in PAIRS:
    p, q = np.asarray(p), np.asarray(q)
    if abs(p.sum() - 1) < 1e-15 and abs(q.sum() - 1) < 1e-15:
        put("kl", [p, q], [scipy.special.rel_entr(p, q).sum()], SCIPY)
    put("cross_entropy", [p, q], [-scipy.special.xlogy(p, q).sum()], SCIPY)
    put("jensen_shannon", [p, q], [scipy.spatial.distance.jensenshannon(p, q) ** 2], SCIPY)
    put("total_variation", [p, q], [0.5 * np.abs(p - q).sum()], NUMPY)
# Close together, where a float's sum of p·ln(p/q) cancels.
for n, step in ((2, 2.0**-10), (5, 2.0**-20), (16, 2.0**-30)):
    q = exact(np.full(n, 1 / n))
    p = q.copy()
    p[0] += step
    p[-1] -= step
    mp = [mpmath.mpf(x) for x in p]
    mq = [mpmath.mpf(x) for x in q]
    put("kl", [p, q], [sum(a * mpmath.log(a / b) for a, b in zip(mp, mq))], MPMATH)

# Two variables.
for shape in ((2, 2), (3, 4), (6, 5), (1, 3)):
    table = exact(rng.dirichlet(np.full(shape[0] * shape[1], 0.7))).reshape(shape, order="F")
    x, y = table.sum(1), table.sum(0)
    h = lambda p: scipy.special.entr(p).sum()
    put("joint", [shape, table.ravel(order="F")], [h(table), h(table) - h(y), h(table) - h(x)], SCIPY)
    if min(shape) > 1:
        mp = lambda a: mpmath.mpf(float(a))
        mutual = sum(
            mp(table[i, j]) * mpmath.log(mp(table[i, j]) / (mp(x[i]) * mp(y[j])))
            for i in range(shape[0])
            for j in range(shape[1])
            if table[i, j] > 0
        )
        put("mutual_information", [shape, table.ravel(order="F")], [mutual], MPMATH)

# Losses.
t = lambda a: torch.tensor(np.asarray(a), dtype=torch.float64)
LOGITS = [([2, 1, 0.5, -1, 0.1], 0), (rng.normal(size=9) * 3, 4), (rng.normal(size=300), 299), ([1000.0, 990.0], 1)]
for z, y in LOGITS:
    zt, yt = t(z)[None], torch.tensor([y])
    put("of_logits", [z, [y]], [F.cross_entropy(zt, yt)], TORCH)
    for alpha in (0.1, 0.5, 1.0):
        put("label_smoothing", [z, [y], [alpha]], [F.cross_entropy(zt, yt, label_smoothing=alpha)], TORCH)
    put("z_loss", [z, [1e-4]], [1e-4 * torch.logsumexp(t(z), 0) ** 2], TORCH)
z = rng.normal(size=(6, 4))
put("mean_of_logits", [[4, 6], z.ravel(), [1, -1, 0, 3, -1, 2]],
    [F.cross_entropy(t(z), torch.tensor([1, -100, 0, 3, -100, 2]))], TORCH)
for n in (2, 5, 50):
    teacher, student = rng.normal(size=n) * 2, rng.normal(size=n) * 2
    for temperature in (0.5, 1.0, 2.0, 4.0):
        soft = F.kl_div(F.log_softmax(t(student) / temperature, 0), F.softmax(t(teacher) / temperature, 0),
                        reduction="sum") * temperature**2
        put("distillation", [teacher, student, [temperature]], [soft], TORCH)
for a, b in ((-1.0, -1.5), (-3.0, -0.25), (-0.5, -9.0)):
    d = mpmath.mpf(b) - mpmath.mpf(a)
    put("kl_estimate", [[a], [b]], [mpmath.exp(d) - 1 - d], MPMATH)
for p, q in PAIRS[:5]:
    r = rng.normal(size=len(p))
    p, q = np.asarray(p), np.asarray(q)
    put("alignment", [p, q, r, [0.1]], [0.1 * scipy.special.rel_entr(p, q).sum() - p @ r], SCIPY)
    put("best_value", [q, r, [0.1]], [-0.1 * scipy.special.logsumexp(r / 0.1, b=q)], SCIPY)

# Gaussians.
N = torch.distributions.Normal
for s in (1.0, 0.1, 12.5, 1e-8):
    put("gaussian_entropy", [[s]], [scipy.stats.norm.entropy(scale=s)], SCIPY)
for m, s, n, r in ((0, 1, 0, 2), (1.5, 0.3, -2, 1), (3, 1, 0, 1)):
    kl = torch.distributions.kl_divergence(N(t(m), t(s)), N(t(n), t(r)))
    put("gaussian_kl", [[m, s], [n, r]], [kl], TORCH)
for n in (1, 2, 5):
    a = rng.normal(size=(n, n))
    cov = a @ a.T + np.eye(n)
    cov = (cov + cov.T) / 2
    put("covariance_entropy", [[n, n], cov], [scipy.stats.multivariate_normal(cov=cov).entropy()], SCIPY)
for rho in (0.5, -0.9, 1e-5, 0.999999):
    r = mpmath.mpf(rho)
    put("gaussian_mutual", [[rho]], [-mpmath.log(1 - r * r) / 2], MPMATH)

# Chains: the stationary distribution by the eigenvector of 1, then the rate.
for n in (2, 3, 7):
    P = np.stack([drawn(n, 1.0) for _ in range(n)], axis=1)
    A = mpmath.matrix(P.tolist()) - mpmath.eye(n)
    for j in range(n):
        A[n - 1, j] = 1
    pi = mpmath.lu_solve(A, mpmath.matrix([0] * (n - 1) + [1]))
    xlogx = lambda x: mpmath.mpf(x) * mpmath.log(x) if x > 0 else mpmath.mpf(0)
    rate = -sum(pi[j] * sum(xlogx(x) for x in P[:, j]) for j in range(n))
    put("stationary", [[n, n], P.ravel(order="F")], list(pi), MPMATH)
    put("entropy_rate", [[n, n], P.ravel(order="F")], [rate], MPMATH)

# Counts.
for counts in ([5, 5], [80, 7, 0, 3, 4, 2, 1], rng.integers(0, 50, 40)):
    h = scipy.stats.entropy(np.asarray(counts))
    put("plug_in", [counts], [h], SCIPY)
    k, n = np.count_nonzero(counts), np.sum(counts)
    put("miller_madow", [counts], [h + (k - 1) / (2 * n)], SCIPY)

# Gaussians that are nearly the same: the divergence is of the order of the difference's square.
for (m, s), (n, r) in [
    ((0.0, 1.0 + 1e-8), (0.0, 1.0)),
    ((0.0, 1.0 - 1e-12), (0.0, 1.0)),
    ((0.0, 3.0), (0.0, 3.000001)),
    ((2.0, 0.25), (2.0 + 1e-9, 0.25 * (1 + 2.0**-30))),
]:
    m, s, n, r = map(mpmath.mpf, (m, s, n, r))
    kl = mpmath.log(r / s) + (s * s + (m - n) ** 2) / (2 * r * r) - mpmath.mpf(1) / 2
    put("gaussian_kl", [[m, s], [n, r]], [kl], MPMATH)

# Chains that hardly move: off-diagonal probabilities that 1 - p cannot show.
for rare in (1e-10, 1e-14, 1e-17, 1e-100):
    for back in (3 * rare, 0.5, rare * 1e-5):
        P = np.array([[1 - rare, back], [rare, 1 - back]])
        a, b = mpmath.mpf(rare), mpmath.mpf(back)
        put("stationary", [[2, 2], P.ravel(order="F")], [b / (a + b), a / (a + b)], MPMATH)

# Rényi's entropies and divergences, also near order 1 and near equality.
def renyi(p, q, alpha):
    a = mpmath.mpf(alpha)
    if q is None:
        return mpmath.log(sum(mpmath.mpf(x) ** a for x in p if x > 0)) / (1 - a)
    return mpmath.log(sum(mpmath.mpf(x) ** a * mpmath.mpf(y) ** (1 - a) for x, y in zip(p, q) if x > 0 and y > 0)) / (a - 1)


close = np.full(4, 0.25)
close[0], close[1] = 0.25 + 2.0**-26, 0.25 - 2.0**-26
for p, q in [*PAIRS[:4], (exact(rng.dirichlet(np.full(50, 0.3))), exact(rng.dirichlet(np.full(50, 2.0)))), (close, [0.25] * 4)]:
    p, q = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    p, q = (x / 2**40 for x in (np.round(p * 2**40), np.round(q * 2**40)))
    p[0] += 1 - p.sum()
    q[0] += 1 - q.sum()
    for alpha in (0.25, 0.5, 0.999, 1 - 2.0**-30, 1 + 2.0**-20, 1.5, 2, 7, 100):
        put("renyi_entropy", [p, [alpha]], [renyi(p, None, alpha)], MPMATH)
        if alpha < 1 or all(q[p > 0] > 0):
            put("renyi_divergence", [p, q, [alpha]], [renyi(p, q, alpha)], MPMATH)

# Three variables: p(x, y, z) as tables over z.
for shape in ((2, 3, 2), (4, 2, 5)):
    p = exact(rng.dirichlet(np.full(math.prod(shape), 0.7))).reshape(shape)
    mp = np.vectorize(mpmath.mpf)(p)
    mutual = mpmath.mpf(0)
    for x, y, z in np.ndindex(shape):
        if p[x, y, z] > 0:
            mutual += mp[x, y, z] * mpmath.log(mp[x, y, z] * mp[:, :, z].sum() / (mp[x, :, z].sum() * mp[:, y, z].sum()))
    put("conditional_mutual", [shape, p.ravel(order="F")], [mutual], MPMATH)

# Gaussians of several variables.
M = torch.distributions.MultivariateNormal
for n in (1, 2, 5):
    make = lambda: (lambda a: a @ a.T + np.eye(n))(rng.normal(size=(n, n)))
    (m1, s1), (m2, s2) = ((rng.normal(size=n), make()) for _ in range(2))
    s1, s2 = (s1 + s1.T) / 2, (s2 + s2.T) / 2
    put("multivariate_kl", [m1, s1, m2, s2], [torch.distributions.kl_divergence(M(t(m1), t(s1)), M(t(m2), t(s2)))], TORCH)

# Fano's inequality.
for e, n in ((0.1, 4), (0.5, 2), (1e-9, 50257), (0.9, 10), (0.3, 1000)):
    x = mpmath.mpf(e)
    put("fano", [[e], [n]], [-x * mpmath.log(x) - (1 - x) * mpmath.log1p(-x) + x * mpmath.log(n - 1)], MPMATH)
for h, n in ((0.5, 2), (1.0, 10), (1e-6, 1000), (6.0, 1000)):
    f = lambda e: -e * mpmath.log(e) - (1 - e) * mpmath.log1p(-e) + e * mpmath.log(n - 1) - mpmath.mpf(h)
    put("least_error", [[h], [n]], [mpmath.findroot(f, (mpmath.mpf(10) ** -12, 1 - mpmath.mpf(1) / n), solver="anderson")], MPMATH)

# Chao and Shen, as R's entropy.ChaoShen has it: with f1 = n - 1 if all draws differ.
for counts in ([4, 2, 1, 1, 1, 1], [1, 1, 1], [5, 5], rng.integers(0, 5, 40)):
    n, f1 = int(np.sum(counts)), int(np.sum(np.asarray(counts) == 1))
    c = 1 - mpmath.mpf(min(f1, n - 1)) / n
    shares = [c * mpmath.mpf(int(k)) / n for k in counts if k > 0]
    put("chao_shen", [counts], [-sum(p * mpmath.log(p) / (1 - (1 - p) ** n) for p in shares)], MPMATH + ", Chao and Shen 2003")

# Capacities of channels with two inputs: where the derivative by p(x = 1) is 0.
for w0, w1 in (([0.9, 0.1], [0.3, 0.7]), ([0.5, 0.3, 0.2], [0.1, 0.1, 0.8]), ([0.99, 0.01], [0.01, 0.99])):
    a, b = ([mpmath.mpf(x) / sum(map(mpmath.mpf, w)) for x in w] for w in (w0, w1))
    mix = lambda p: [(1 - p) * x + p * y for x, y in zip(a, b)]
    far = lambda w, q: sum(x * mpmath.log(x / y) for x, y in zip(w, q))
    p = mpmath.findroot(lambda p: far(a, mix(p)) - far(b, mix(p)), mpmath.mpf(1) / 2)
    put("capacity", [w0, w1], [far(a, mix(p)), p], MPMATH)
# A coin of any bias, with the distortion of Hamming: R(D) = h(p) - h(D), D = 1/(1 + e^slope).
for p, slope in ((0.5, 1.0), (0.3, 2.0), (0.1, 4.0)):
    h = lambda x: -x * mpmath.log(x) - (1 - x) * mpmath.log(1 - x)
    d = 1 / (1 + mpmath.exp(mpmath.mpf(slope)))
    put("rate_distortion", [[p], [slope]], [d, h(mpmath.mpf(p)) - h(d)], MPMATH)

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
print(f"{len(rows)} rows, {sum(len(row['expected']) for row in rows)} values")
