"""Values of the tests and intervals of evaluations by SciPy, statsmodels, NumPy and mpmath: writes evaluation.json beside this
file.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.14.6 mpmath==1.3.0
    python tests/authority/evaluation.py

Every row is {function, inputs, expected, source}. SciPy's bootstrap is given the random numbers of `probability::Random`, so that
it draws what we draw and its ends are ours.
"""

import json
import math
import pathlib
from fractions import Fraction

import mpmath
import numpy as np
import scipy
import scipy.stats as st
import statsmodels
import statsmodels.stats.contingency_tables
import statsmodels.stats.multitest
import statsmodels.stats.power
import statsmodels.stats.proportion

PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "statsmodels": "0.14.6", "mpmath": "1.3.0"}
for module in (np, scipy, statsmodels, mpmath):
    found = module.__version__
    assert found == PINNED[module.__name__], f"{module.__name__} {found}, pinned {PINNED[module.__name__]}"

SCIPY, STATSMODELS = "SciPy 1.17.1", "statsmodels 0.14.6"
NUMPY, MPMATH = "NumPy 2.4.6, by the definition", "mpmath 1.3.0, 60 digits"
mpmath.mp.dps = 60
rng = np.random.default_rng(19)
rows = []


def number(x):
    x = float(x)
    return x if math.isfinite(x) else "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"


def row(function, inputs, expected, source):
    inputs = [[number(x) for x in np.ravel(np.asarray(i, dtype=float))] for i in inputs]
    expected = [number(x) for x in np.ravel(np.asarray(expected, dtype=object))]
    rows.append({"function": function, "inputs": inputs, "expected": expected, "source": source})


class Ours(np.random.Generator):
    """Random::new(seed, 0, 0): number i of a range n is (bits(i)·n) >> 64, bits by Philox-4×32-10."""

    def __new__(cls, seed):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, seed):
        super().__init__(np.random.PCG64(0))
        self.seed = seed

    def bits(self, index):
        mask, index = 0xFFFFFFFF, int(index)
        counter = [index // 2 & mask, index // 2 >> 32, 0, 0]
        key = [self.seed & mask, self.seed >> 32]
        for _ in range(10):
            a, b = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
            counter = [b >> 32 ^ counter[1] ^ key[0], b & mask, a >> 32 ^ counter[3] ^ key[1], a & mask]
            key = [key[0] + 0x9E3779B9 & mask, key[1] + 0xBB67AE85 & mask]
        words = counter[index % 2 * 2:]
        return words[0] | words[1] << 32

    def integers(self, low, high=None, size=None, **_):
        assert low == 0
        return np.array([self.bits(i) * high >> 64 for i in range(math.prod(size))]).reshape(size)


def marsaglia(n, d):
    """P(D >= d) of n numbers: the power of a matrix of Marsaglia, Tsang and Wang, in 60 digits."""
    d = mpmath.mpf(d)
    k = int(mpmath.ceil(n * d))
    m, h = 2 * k - 1, k - n * d
    matrix = np.array([[mpmath.mpf(int(i - j + 1 >= 0)) for j in range(m)] for i in range(m)], dtype=object)
    for i in range(m):
        matrix[i, 0] -= h ** (i + 1)
        matrix[m - 1, i] -= h ** (m - i)
    matrix[m - 1, 0] += max(2 * h - 1, 0) ** m
    for i in range(m):
        for j in range(i + 1):
            matrix[i, j] /= mpmath.factorial(i - j + 1)
    power = np.linalg.matrix_power(matrix, n)
    return 1 - power[k - 1, k - 1] * mpmath.factorial(n) / mpmath.mpf(n) ** n


# Intervals.
for n, scale in [(2, 1), (3, 0.01), (10, 5), (200, 1)]:
    x = rng.normal(2, scale, n)
    for confidence in [0.5, 0.95, 0.999]:
        ends = st.t.interval(confidence, n - 1, x.mean(), st.sem(x))
        row("student", [x, confidence], ends, SCIPY)
for k, n in [(0, 300), (1, 1), (3, 10), (50, 100), (999, 1000), (123456, 10**6)]:
    for confidence in [0.8, 0.95]:
        ends = st.binomtest(k, n).proportion_ci(confidence, "exact")
        row("clopper_pearson", [k, n, confidence], ends, SCIPY)
for a, b, k, n in [(1, 1, 8, 10), (0.5, 0.5, 0, 40), (2, 3, 700, 1000)]:
    beta = st.beta(a + k, b + n - k)
    row("credible", [a, b, k, n - k, 0.95], beta.interval(0.95), SCIPY)

# Tests of two models.
for both, first, second in [(25, 12, 3), (5, 0, 7), (3, 4, 4), (0, 0, 1), (4, 0, 0), (10, 300, 220)]:
    found = statsmodels.stats.contingency_tables.mcnemar([[both, first], [second, 2]], exact=True)
    row("mcnemar", [both, first, second], found.pvalue, STATSMODELS)
for n, m in [(1, 1), (3, 4), (8, 8), (20, 30), (50, 50)]:
    a, b = rng.normal(0.4, 1, n), rng.normal(0, 1, m)
    found = st.mannwhitneyu(a, b, method="exact")
    row("mann_whitney", [a, b], [found.statistic, found.pvalue], SCIPY)
for n, m, values in [(6, 9, 4), (30, 20, 10), (80, 60, 1000), (51, 60, 10**9), (4, 4, 1)]:
    a, b = rng.integers(0, values, n), rng.integers(0, values, m) + (values > 20) * (values // 10)
    found = st.mannwhitneyu(a, b, method="asymptotic")
    row("mann_whitney", [a, b], [found.statistic, 1.0 if values == 1 else found.pvalue], SCIPY)
for n, shift in [(1, 0), (2, 0.1), (5, 0), (20, 0.1), (60, 0.05), (200, 0.02), (500, 0.01), (20, 0.45), (100, 0.3), (800, 0.09)]:
    x = np.clip(rng.uniform(size=n) + shift, 0, 1)
    found = st.kstest(x, "uniform", method="exact")
    # SciPy's exact p-value is an asymptotic series from n = 140 on: 2.5e-6 off at n = 200.
    p, source = (found.pvalue, SCIPY) if n > 500 else (marsaglia(n, found.statistic), MPMATH)
    row("one_sample", [x], [found.statistic, p], source)
for n, m, shift in [(1, 1, 0), (4, 7, 0), (20, 15, 0.5), (50, 50, 0.2), (100, 73, 1.5), (300, 400, 0.1)]:
    a, b = rng.normal(shift, 1, n), rng.normal(0, 1, m)
    found = st.ks_2samp(a, b, method="exact")
    row("two_sample", [a, b], [found.statistic, found.pvalue], SCIPY)

# Many tests, and their size.
for p in [[0.01, 0.04, 0.03, 0.005], [1, 0, 0.5], [0.2], list(rng.uniform(size=30) ** 3), [0.02, 0.02, 0.9, 0.02]]:
    adjusted = statsmodels.stats.multitest.multipletests
    row("holm", [p], adjusted(p, method="holm")[1], STATSMODELS)
    row("benjamini_hochberg", [p], adjusted(p, method="fdr_bh")[1], STATSMODELS)
power = statsmodels.stats.power.TTestPower()
for n, effect, alpha in [(34, 0.5, 0.05), (5, 2.0, 0.05), (3, 1.0, 0.01), (1000, 0.05, 0.1)]:
    row("of_pairs", [n, effect, alpha], power.power(effect, n, alpha), STATSMODELS)
for effect, alpha, wanted in [(0.5, 0.05, 0.8), (2.0, 0.05, 0.8), (0.1, 0.01, 0.9), (1.0, 0.05, 0.99)]:
    row("pairs_needed", [effect, alpha, wanted], math.ceil(power.solve_power(effect, None, alpha, wanted)), STATSMODELS)

# The bootstrap.
# Numbers whose sums are exact: whether a draw of all units equals the estimate does not depend on rounding.
a = np.array([148, 257, 48, 198, 125, 166, 70, 141]) / 64
b = np.array([154, 262, 47, 208, 129, 173, 96, 134]) / 64
for seed, confidence, resamples in [(1, 0.95, 2000), (7, 0.8, 500)]:
    settings = dict(confidence_level=confidence, n_resamples=resamples, method="BCa", vectorized=False)
    ends = st.bootstrap((a - b,), np.mean, rng=Ours(seed), **settings).confidence_interval
    row("bootstrap_paired", [a, b, confidence, resamples, seed], ends, SCIPY)
    sums, sizes = a * a - 3, np.array([4.0, 4, 2, 5, 5, 1, 9, 3])
    ends = st.bootstrap((sums, sizes), lambda d, n: d.sum() / n.sum(), paired=True, rng=Ours(seed), **settings).confidence_interval
    row("bootstrap_clustered", [sums, sizes, confidence, resamples, seed], ends, SCIPY)
    ends = st.bootstrap((a * a,), np.median, rng=Ours(seed), **settings).confidence_interval
    row("bootstrap_median", [a * a, confidence, resamples, seed], ends, SCIPY)

# A model's answers.
for n, bins in [(1, 10), (50, 10), (500, 15)]:
    c = rng.beta(4, 1, n)
    y = (rng.uniform(size=n) < c**2).astype(float)
    k = np.minimum((c * bins).astype(int), bins - 1)
    cm, ym = (np.array([v[k == j].mean() for j in k]) for v in (c, y))
    row("calibration", [c, y, bins], [
        sum(abs(c[k == j].mean() - y[k == j].mean()) * (k == j).mean() for j in set(k)),
        np.mean((c - y) ** 2), np.mean((cm - ym) ** 2), np.mean((ym - y.mean()) ** 2), y.mean() * (1 - y.mean()),
    ], NUMPY)
for n, c, k in [(10, 3, 1), (10, 3, 5), (200, 1, 100), (200, 150, 10), (1000, 7, 100), (5, 5, 2), (5, 0, 3), (10**5, 2, 3)]:
    row("pass_at_k", [n, c, k], 1 - Fraction(math.comb(n - c, k), math.comb(n, k)), "Python's fractions")
for alpha in [[1, 1, 1], [0.5, 2.5], [3, 1, 0.2, 7], [1e6, 2e6, 5e5], [1e-3, 1e-3]]:
    x = rng.dirichlet(np.maximum(alpha, 0.1))
    if max(alpha) > 1e5:
        x = np.array(alpha) / sum(alpha) + np.array([1, -1, 0]) * 2.0**-12
    x = x / x.sum()
    mx = [mpmath.mpf(v) for v in x]
    mx = [v / sum(mx) for v in mx]
    ma = [mpmath.mpf(v) for v in alpha]
    ln = mpmath.loggamma(sum(ma)) - sum(map(mpmath.loggamma, ma)) + sum((v - 1) * mpmath.log(w) for v, w in zip(ma, mx))
    row("dirichlet", [alpha, x], ln, MPMATH)

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
print(f"{len(rows)} rows, {sum(len(row['expected']) for row in rows)} values")
