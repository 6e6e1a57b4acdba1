"""Values of probability functions by NumPy, SciPy, statsmodels, PyTorch, transformers and mpmath: writes probability.json beside this file.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.14.6 mpmath==1.3.0 torch==2.15.0 transformers==5.23.0
    python tests/authority/probability.py

Every row is {function, inputs, expected, source}. Expected values are f64; those of mpmath were computed with 200 bits
and rounded once. The rows `log_sum_exp`, `softmax` and `log_softmax` of source mpmath cover the exponent range and are
held to 4 units in the last place; all others to a relative error of 1e-12.
"""

import itertools
import json
import math
import pathlib
import random

import mpmath
import numpy as np
import scipy
import scipy.special
import scipy.stats as st
import statsmodels
import statsmodels.api
import statsmodels.stats.power
import torch
import transformers
from transformers.generation import logits_process as hf

PINNED = {"numpy": "2.4.6", "scipy": "1.17.1", "statsmodels": "0.14.6", "mpmath": "1.3.0", "torch": "2.15.0", "transformers": "5.23.0"}
for module in (np, scipy, statsmodels, mpmath, torch, transformers):
    found = module.__version__.split("+")[0]
    assert found == PINNED[module.__name__], f"{module.__name__} {found}, pinned {PINNED[module.__name__]}"

mpmath.mp.prec = 200
rows = []


def number(x):
    x = float(x)
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    return x


def row(function, inputs, expected, source):
    listed = [np.atleast_1d(np.asarray(i, dtype=np.float64)).ravel(order="F") for i in inputs]
    expected = np.atleast_1d(np.asarray(expected, dtype=np.float64)).ravel(order="F")
    rows.append({
        "function": function,
        "inputs": [[number(x) for x in i] for i in listed],
        "expected": [number(x) for x in expected],
        "source": source,
    })


# --- log-sum-exp and softmax by mpmath: right to the last digit -----------------------------------------------------

def exact(z):
    """log-sum-exp, softmax and its logarithm of floats, each rounded once."""
    z = [mpmath.mpf(x) for x in z]
    largest = max(z)
    # exp of a huge negative difference is an mpf with a huge exponent: no underflow, no overflow.
    e = [mpmath.exp(x - largest) for x in z]
    total = mpmath.fsum(e)
    lse = largest + mpmath.log(total)
    # A sum next to 1 loses its small terms in 200 bits.
    others = mpmath.fsum(sorted(e)[:-1])
    if others < mpmath.mpf(2) ** -150:
        lse = largest + mpmath.log1p(others)
    log_total = mpmath.log1p(others)
    return lse, [x / total for x in e], [x - largest - log_total for x in z]


def rounded(x):
    """An mpf as the nearest f64, denormals included."""
    if x == 0:
        return 0.0
    exponent = mpmath.frexp(x)[1]
    if exponent < -1080:
        return math.copysign(0.0, float(mpmath.sign(x)))
    if exponent <= -1021:
        units = mpmath.nint(x * mpmath.mpf(2) ** 1074)
        return math.ldexp(float(units), -1074)
    return float(x)


def exhaust(z):
    lse, p, ln_p = exact(z)
    with_precision = f"mpmath {mpmath.__version__}, {mpmath.mp.prec} bits"
    row("log_sum_exp", [z], rounded(lse), with_precision)
    row("softmax", [z], [rounded(x) for x in p], with_precision)
    row("log_softmax", [z], [rounded(x) for x in ln_p], with_precision)


draw = random.Random(20)
# The whole exponent range of the scores: sizes from denormal to the largest float.
for power in [-1074, -1060, -1022, -800, -500, -200, -100, -60, -53, -40, -20, -10, -5, -2, 0, 1, 2, 3, 5, 7, 8, 9, 10, 12, 20, 40, 53, 60, 100, 300, 700, 1000, 1022]:
    n = draw.choice([2, 3, 5, 8])
    exhaust([math.ldexp(draw.uniform(-1, 1) if power > -1060 else draw.choice([-1, 1, 2, 3]), power) for _ in range(n)])
# A large common part: differences that rounding would spoil.
for power in [1, 4, 7, 9, 9.4, 20, 52]:
    base = draw.choice([-1, 1]) * 2.0 ** power
    exhaust([base + draw.uniform(-3, 3) for _ in range(5)])
# Probabilities over the whole exponent range of a result, down to the denormal ones.
for gap in [0.1, 1, 10, 30, 36, 37, 40, 100, 300, 700, 708, 709, 720, 740, 744, 745, 746, 800]:
    exhaust([draw.uniform(-1, 1), draw.uniform(-1, 1) - gap, 0.3 - gap / 2])
# Logarithms of distributions: their log-sum-exp is next to 0, where m + ln s cancels.
for n in [2, 3, 4, 7, 10, 20, 50]:
    w = [draw.random() ** 4 + 1e-9 for _ in range(n)]
    exhaust([math.log(x / sum(w)) for x in w])
for near in [1e-1, 1e-3, 1e-6, 1e-9, -1e-1, -1e-3, -1e-6, -1e-9]:
    exhaust([math.log(1 / 3) + near, math.log(1 / 3) + near, math.log(1 / 3) + near])
exhaust([-1e-300, -690.0])
exhaust([-1e-20, -46.0, -47.0])
# Long: more terms than one would like to sum without care.
exhaust([draw.gauss(0, 2) for _ in range(400)])
exhaust([-math.log(256)] * 256)
exhaust([2.0, 1.0, 0.5, -1.0, 0.1])

# --- SciPy, NumPy and PyTorch ---------------------------------------------------------------------------------------

SCIPY, NUMPY, TORCH = f"SciPy {scipy.__version__}", f"NumPy {np.__version__}", f"PyTorch {PINNED['torch']}"
torch.set_default_dtype(torch.float64)
textbook = np.array([2, 1, 0.5, -1, 0.1])
tensor = torch.tensor(textbook)

row("softmax_plain", [textbook], scipy.special.softmax(textbook), SCIPY)
row("log_softmax_plain", [textbook], scipy.special.log_softmax(textbook), SCIPY)
row("log_sum_exp_plain", [textbook], scipy.special.logsumexp(textbook), SCIPY)
for t in [0.5, 2.0]:
    row("tempered_softmax", [textbook, t], torch.softmax(tensor / t, 0), TORCH)
masked = torch.tensor([[0.3, -0.1, 0.7], [1.2, 0.4, -0.6], [0.0, 2.0, 1.0]]).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
row("causal_softmax", [[0.3, -0.1, 0.7, 1.2, 0.4, -0.6, 0.0, 2.0, 1.0]], torch.softmax(masked, 1).ravel(), TORCH)

for x in [-700.0, -20.0, -1.5, 0.0, 1e-10, 2.5, 30.0]:
    row("sigmoid", [x], scipy.special.expit(x), SCIPY)
    row("log_sigmoid", [x], scipy.special.log_expit(x), SCIPY)
for p in [1e-300, 1e-5, 0.2, 0.499, 0.5, 0.7, 0.99999]:
    row("logit", [p], mpmath.log(mpmath.mpf(p) / (1 - mpmath.mpf(p))), "mpmath 1.3.0, 200 bits")

for mean, sd, x in [(0, 1, 0.5), (1, 2, -3), (0, 1, -12), (-2, 0.1, -1.7), (0, 1e-3, 0.002)]:
    row("gaussian", [mean, sd, x], [st.norm.logpdf(x, mean, sd), st.norm.pdf(x, mean, sd), st.norm.cdf(x, mean, sd)], SCIPY)
for p in [1e-12, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999999]:
    row("gaussian_quantile", [p], st.norm.ppf(p), SCIPY)

mean, cov = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 1.2, -0.5], [1.2, 1.5, 0.3], [-0.5, 0.3, 1.0]])
for x in [[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [3.0, -1.0, 2.5]]:
    row("multivariate_ln_density", [mean, cov, x], st.multivariate_normal(mean, cov).logpdf(x), SCIPY)
row("log_determinant", [mean, cov], np.linalg.slogdet(cov)[1], NUMPY)
a, b, y = [0, 2], [1], np.array([-1.0])
gain = cov[np.ix_(a, b)] @ np.linalg.inv(cov[np.ix_(b, b)])
row("given", [mean, cov, b, y], np.concatenate([mean[a] + gain @ (y - mean[b]), (cov[np.ix_(a, a)] - gain @ cov[np.ix_(b, a)]).ravel()]), NUMPY)
a, b, y = [1], [0, 2], np.array([2.0, 1.0])
gain = cov[np.ix_(a, b)] @ np.linalg.inv(cov[np.ix_(b, b)])
row("given", [mean, cov, b, y], np.concatenate([mean[a] + gain @ (y - mean[b]), (cov[np.ix_(a, a)] - gain @ cov[np.ix_(b, a)]).ravel()]), NUMPY)

rng, rng_clusters = np.random.default_rng(7), np.random.default_rng(8)
u, v = rng.normal(size=12), rng.normal(size=12)
row("mean", [u], mpmath.fsum(u) / 12, "mpmath 1.3.0, 200 bits")
row("population_variance", [u], np.var(u), NUMPY)
row("sample_variance", [u], np.var(u, ddof=1), NUMPY)
row("covariance", [u, v], np.cov(u, v)[0, 1], NUMPY)
row("correlation", [u, v], st.pearsonr(u, v).statistic, SCIPY)
row("covariance_matrix", [np.stack([u, v])], np.cov(u, v), NUMPY)
hidden = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
row("running", [hidden], [np.mean(hidden), np.var(hidden, ddof=1)], NUMPY)
for p in [0.0, 0.1, 0.5, 0.77, 1.0]:
    row("quantile", [u, p], np.quantile(u, p), NUMPY)

gain, shift = rng.normal(size=12), rng.normal(size=12)
for epsilon in [1e-5, 1e-2]:
    ln = torch.nn.functional.layer_norm(torch.tensor(u), (12,), torch.tensor(gain), torch.tensor(shift), epsilon)
    row("layer_norm", [u, gain, shift, epsilon], ln, TORCH)
    row("rms_norm", [u, gain, epsilon], torch.nn.functional.rms_norm(torch.tensor(u), (12,), torch.tensor(gain), epsilon), TORCH)

for k, n, c in [(8, 10, 0.95), (0, 10, 0.9), (37, 500, 0.99), (500, 500, 0.95)]:
    i = st.binomtest(k, n).proportion_ci(c, method="wilson")
    row("wilson", [k, n, c], [i.low, i.high], SCIPY)
for c in [0.9, 0.99]:
    row("normal_interval", [u, c], st.norm.interval(c, np.mean(u), st.sem(u)), SCIPY)
for c in [0.9, 0.95]:
    test = st.ttest_rel(u, v)
    i = test.confidence_interval(c)
    row("t_test", [u, v, c], [test.statistic, test.pvalue, i.low, i.high], SCIPY)
far = st.ttest_rel(u + 5, v)
row("t_test", [u + 5, v, 0.95], [far.statistic, far.pvalue, *far.confidence_interval(0.95)], SCIPY)
for first, second in [(u, v[:5]), (u[:2], v), (u[:3], v[:3] + 4), (100 * u, v)]:
    test = st.ttest_ind(first, second, equal_var=False)
    i = test.confidence_interval(0.95)
    row("welch", [first, second, 0.95], [test.statistic, test.df, test.pvalue, i.low, i.high], SCIPY)
# Tokens of clusters: a constant fitted by least squares, with errors robust to clusters.
STATSMODELS = f"statsmodels {statsmodels.__version__}"
for sizes in [[4, 4, 4], [7, 1, 3, 12, 5], [30] * 9 + [2]]:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    tokens = rng_clusters.normal(size=sum(sizes)) + rng_clusters.normal(size=len(sizes))[groups] + 0.3
    fit = statsmodels.api.OLS(tokens, np.ones_like(tokens)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    sums = [mpmath.fsum(tokens[groups == g]) for g in range(len(sizes))]
    row("clustered", [sums, sizes, 0.95], [fit.params[0], fit.bse[0], fit.pvalues[0], *fit.conf_int(0.05)[0]], STATSMODELS)
analysis = statsmodels.stats.power.TTestIndPower()
for n, effect, alpha in [(64, 0.5, 0.05), (2, 3, 0.05), (3, 1.5, 0.01), (20, 0.1, 0.05), (100, 0.4, 0.001), (5, 4, 0.05)]:
    # Statsmodels takes SciPy's noncentral distribution in both tails.
    row("power_of_two_groups", [n, effect, alpha], analysis.power(effect, n, alpha), STATSMODELS)
for effect, alpha, power in [(0.5, 0.05, 0.8), (2, 0.05, 0.8), (0.2, 0.01, 0.9), (0.03, 0.05, 0.8), (10, 0.05, 0.8)]:
    least = next(n for n in itertools.count(2) if analysis.power(effect, n, alpha) >= power)
    row("samples_needed", [effect, alpha, power], least, STATSMODELS)
for counts, p in [([16, 18, 16, 14, 12, 12], [1 / 6] * 6), ([50, 30, 20], [0.5, 0.25, 0.25]), ([90, 5, 5], [0.5, 0.25, 0.25])]:
    test = st.chisquare(counts, np.array(p) * sum(counts))
    row("chi_squared", [counts, p], [test.statistic, test.pvalue], SCIPY)

fan_in, fan_out = 300, 100
xavier = torch.nn.init.calculate_gain("linear") * math.sqrt(2 / (fan_in + fan_out))
kaiming = torch.nn.init.calculate_gain("relu") / math.sqrt(fan_in)
row("xavier_variance", [fan_in, fan_out], xavier**2, TORCH)
row("kaiming_variance", [fan_in, fan_out], kaiming**2, TORCH)

for x in [0, 1]:
    row("bernoulli", [0.1, x], [st.bernoulli.pmf(x, 0.1), st.bernoulli.cdf(x, 0.1)], SCIPY)
row("uniform", [-1, 3, 0.5], [st.uniform.pdf(0.5, -1, 4), st.uniform.cdf(0.5, -1, 4)], SCIPY)
row("binomial", [0.3, 10, 4], [st.binom.pmf(4, 10, 0.3), st.binom.cdf(4, 10, 0.3)], SCIPY)
row("poisson", [3.5, 4], [st.poisson.pmf(4, 3.5), st.poisson.cdf(4, 3.5)], SCIPY)
row("beta", [2.5, 4, 0.3], [st.beta.pdf(0.3, 2.5, 4), st.beta.cdf(0.3, 2.5, 4)], SCIPY)
row("gamma", [2.5, 4, 0.3], [st.gamma.pdf(0.3, 2.5, scale=1 / 4), st.gamma.cdf(0.3, 2.5, scale=1 / 4)], SCIPY)
row("students_t", [11, 1.3], [st.t.pdf(1.3, 11), st.t.cdf(1.3, 11)], SCIPY)
row("gumbel", [0.3], [st.gumbel_r.pdf(0.3), st.gumbel_r.cdf(0.3)], SCIPY)

for prior, likelihood in [([0.01, 0.99], [0.9, 0.05]), ([0.2, 0.3, 0.5], [1e-9, 3e-9, 2e-8])]:
    products = np.array(prior) * np.array(likelihood)
    row("posterior", [prior, likelihood], products / products.sum(), NUMPY)
row("log_likelihood", [[0.2, 0.3, 0.5], [3, 0, 7]], 3 * mpmath.log(0.2) + 7 * mpmath.log(0.5), "mpmath 1.3.0, 200 bits")

HF = f"transformers {transformers.__version__}"
decoding = np.array([5, 3.5, 2, 1, 0.5, 0.1, -1, -2])
history = [0, 2, 2, 6]
for logits in [decoding, rng.normal(size=30) * 2]:
    z, ids = torch.tensor(logits)[None], torch.tensor([history])
    for name, setting, warper in [
        ("temperature", 0.7, hf.TemperatureLogitsWarper(0.7)),
        ("top_k", 3, hf.TopKLogitsWarper(3)),
        ("top_p", 0.9, hf.TopPLogitsWarper(0.9)),
        ("min_p", 0.05, hf.MinPLogitsWarper(0.05)),
        ("typical", 0.9, hf.TypicalLogitsWarper(0.9)),
        ("typical", 0.3, hf.TypicalLogitsWarper(0.3)),
        ("repetition_penalty", 1.3, hf.RepetitionPenaltyLogitsProcessor(1.3)),
    ]:
        p = torch.softmax(warper(ids, z.clone()), -1)[0]
        row(name, [logits, setting, history] if name == "repetition_penalty" else [logits, setting], p, HF)

# --- Distributions over their whole range, by mpmath --------------------------------------------------------------------

# Wide enough for logarithms of gamma functions of 10¹² that cancel.
MP = "mpmath 1.3.0, 160 bits"


def tail(ln_density, u, direction, width):
    """The integral of a logarithmically concave density from u on: pieces, until they no longer count."""
    total, height = mpmath.mpf(0), ln_density(u)
    for _ in range(2000):
        there = u + direction * width
        part = abs(mpmath.quad(lambda t: mpmath.exp(ln_density(t) - height), [u, there], maxdegree=6, method="gauss-legendre"))
        total, u = total + part, there
        if part < total * mpmath.mpf(2) ** -80:
            return total * mpmath.exp(height)
        if ln_density(there - direction * width) - ln_density(there) < 1:
            width *= mpmath.mpf("1.3")  # a long exponential, or flat
    raise ArithmeticError("a tail without an end")


def gamma_tails(a, x):
    a, x = mpmath.mpf(a), mpmath.mpf(x)
    ln_density = lambda u: a * u - mpmath.exp(u) - mpmath.loggamma(a)
    return [tail(ln_density, mpmath.log(x), side, min(mpmath.mpf(1), 1 / mpmath.sqrt(a))) for side in (-1, 1)]


def beta_tails(a, b, x, y=None):
    a, b, x = mpmath.mpf(a), mpmath.mpf(b), mpmath.mpf(x)
    y = 1 - x if y is None else y
    ln_beta = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)
    ln_density = lambda u: -a * mpmath.log1p(mpmath.exp(-u)) - b * mpmath.log1p(mpmath.exp(u)) - ln_beta
    width = min(mpmath.mpf(1), mpmath.sqrt(1 / a + 1 / b))
    return [tail(ln_density, mpmath.log(x / y), side, width) for side in (-1, 1)]


def t_tail(nu, t):
    nu, t = mpmath.mpf(nu), mpmath.mpf(t)
    square = t * t / nu
    return beta_tails(nu / 2, mpmath.mpf(1) / 2, 1 / (1 + square), square / (1 + square))[0] / 2


def solved(log_of, u, p):
    """Where ln F = ln p, in a variable in which F is logarithmically concave: there Newton's steps lead from anywhere."""
    u, h = mpmath.mpf(u), mpmath.mpf(2) ** -50
    for _ in range(60):
        value = log_of(u) - mpmath.log(mpmath.mpf(p))
        step = value * h / (log_of(u + h) - log_of(u))
        u -= step
        if abs(step) < mpmath.mpf(2) ** -62:
            return u
    raise ArithmeticError("no root")


with mpmath.workprec(160):
    for a, rate, x in [(80, 1e-5, 8e6), (0.01, 1, 1e-20), (0.5, 3, 1e-8), (2.5, 1, 40), (63, 1, 30), (300, 2, 100), (1e4, 1, 1.04e4), (1e8, 1, 0.9999e8), (1e12, 1, 1.000005e12), (1e-3, 1, 5)]:
        scaled = mpmath.mpf(x) * mpmath.mpf(rate)
        ln = (a - 1) * mpmath.log(scaled) - scaled - mpmath.loggamma(a) + mpmath.log(mpmath.mpf(rate))
        row("gamma_tails", [a, rate, x], [mpmath.exp(ln), *gamma_tails(a, scaled)], MP)
    for a, b, x in [(1e6, 1e6, 0.5), (1e8, 1e8, 0.5), (1e8, 1e8, 0.4999), (200, 2, 0.9), (2, 3, 1e-20), (0.01, 0.02, 0.3), (1e5, 0.5, 0.99999), (0.5, 1e10, 1e-9), (3, 1e6, 1e-5), (1e3, 1e7, 1.2e-4), (40, 60, 0.8), (1e12, 2e12, 0.3333331)]:
        ln = (a - 1) * mpmath.log(mpmath.mpf(x)) + (b - 1) * mpmath.log1p(-mpmath.mpf(x)) - mpmath.loggamma(a) - mpmath.loggamma(b) + mpmath.loggamma(mpmath.mpf(a) + b)
        row("beta_tails", [a, b, x], [mpmath.exp(ln), *beta_tails(a, b, x)], MP)
    for nu, t in [(1e4, -1), (1e7, -1.9), (1e12, -7), (0.1, -50), (1, -1e8), (3, -0.001), (30, -12), (2.5e5, -35)]:
        n, square = mpmath.mpf(nu), mpmath.mpf(t) ** 2
        density = mpmath.exp(mpmath.loggamma((n + 1) / 2) - mpmath.loggamma(n / 2) - (n + 1) / 2 * mpmath.log1p(square / n)) / mpmath.sqrt(n * mpmath.pi)
        row("students_t_tails", [nu, t], [density, t_tail(nu, t)], MP)
    for a, p in [(0.1, 0.01), (0.5, 1e-6), (0.2, 0.01), (1, 0.9), (0.05, 0.3), (80, 1e-200), (1e6, 0.001), (1e10, 0.999)]:
        z = math.sqrt(2) * float(mpmath.erfinv(2 * mpmath.mpf(p) - 1)) if p > 1e-100 else -30
        start = math.log(a) + z / math.sqrt(a) if a >= 1 else (math.log(p) + math.lgamma(a + 1)) / a
        u = solved(lambda u: mpmath.log(gamma_tails(a, mpmath.exp(u))[0]), start, p)
        row("gamma_inverse", [a, p], mpmath.exp(u), MP)
    odds = lambda u: 1 / (1 + mpmath.exp(-u))
    for a, b, p, start in [(200, 2, 1e-170, -1.8), (200, 2, 1e-60, 0.0), (2, 3, 1e-40, -47), (0.1, 4, 0.01, -47), (1e5, 2e5, 0.3, -0.69), (0.5, 0.5, 0.001, -12)]:
        u = solved(lambda u: mpmath.log(beta_tails(a, b, odds(u), 1 - odds(u))[0]), start, p)
        row("beta_inverse", [a, b, p], odds(u), MP)
    for nu, p, start in [(1, 1e-10, -3e9), (1e4, 0.1, -1.28), (1e7, 0.025, -1.96), (2e7, 0.025, -1.96), (1e12, 1e-9, -6), (0.3, 0.2, -10), (1e4, 0.05, -1.645), (10, 1e-100, -1e10)]:
        u = solved(lambda v: mpmath.log(t_tail(nu, -mpmath.exp(v))), math.log(-start), p)
        row("students_t_inverse", [nu, p], -mpmath.exp(u), MP)
    for p, n, k in [(0.3, 10, 4), (1e-6, 10**9, 1100), (0.5, 10**6, 498000), (0.9, 1000, 870), (0.5, 10**12, 5 * 10**11 + 10**6), (0.1, 3, 0)]:
        q = mpmath.mpf(p)
        ln = mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1) + k * mpmath.log(q) + (n - k) * mpmath.log1p(-q)
        below, above = beta_tails(k + 1, n - k, q)
        row("binomial_tails", [p, n, k], [mpmath.exp(ln), above, below], MP)
    for mean, k in [(3.5, 4), (1e-3, 0), (1e6, 997000), (1e12, 10**12 + 3 * 10**6), (700, 400)]:
        ln = k * mpmath.log(mpmath.mpf(mean)) - mean - mpmath.loggamma(k + 1)
        below, above = gamma_tails(k + 1, mean)
        row("poisson_tails", [mean, k], [mpmath.exp(ln), above, below], MP)
    for z in [-37.5, -20, -8, -1e-3, 0.5]:
        row("normal_below", [z], mpmath.erfc(-mpmath.mpf(z) / mpmath.sqrt(2)) / 2, MP)
    for p in [1e-300, 1e-20, 0.2, 0.4999999, 0.5000001, 0.9999]:
        z = solved(lambda z: mpmath.log(mpmath.erfc(-z / mpmath.sqrt(2)) / 2), -math.sqrt(-2 * math.log(p)) if p < 0.1 else 0.0, p)
        row("gaussian_quantile", [p], z, MP)
    # Entropies, in nats: −∫ p·ln p.
    psi = lambda x: mpmath.digamma(mpmath.mpf(x))
    for a in [0.1, 1, 3.5, 20, 1e4, 1e10]:
        row("gamma_entropy", [a], a + mpmath.loggamma(a) + (1 - a) * psi(a), MP)
    for a, b in [(0.3, 0.4), (2, 5), (1e5, 3), (1e8, 1e8)]:
        row("beta_entropy", [a, b], mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b) - (a - 1) * psi(a) - (b - 1) * psi(b) + (a + b - 2) * psi(a + b), MP)
    for nu in [0.5, 3, 30, 1e9]:
        n = mpmath.mpf(nu)
        row("students_t_entropy", [nu], (n + 1) / 2 * (psi((n + 1) / 2) - psi(n / 2)) + mpmath.log(n) / 2 + mpmath.log(mpmath.beta(n / 2, mpmath.mpf(1) / 2)), MP)
    for mean in [0.2, 3.5, 400]:
        masses = [(k, k * mpmath.log(mean) - mean - mpmath.loggamma(k + 1)) for k in range(int(mean + 60 * math.sqrt(mean) + 80))]
        row("poisson_entropy", [mean], -mpmath.fsum(mpmath.exp(ln) * ln for _, ln in masses), MP)

# --- Moments that lose their digits to a rounded mean, and large numbers ------------------------------------------------

for x in [
    [1e9 + d for d in (-1e-3, 1e-3, -1e-3, 1e-3, 0.0)],
    [1.0, 1.0 + 2**-52],
    [10000000.2] + [10000000.1, 10000000.3] * 500,  # NIST's NumAcc4
    [1000000.2] + [1000000.1, 1000000.3] * 500,  # and NumAcc3
    [1e15 + i % 7 for i in range(100)],
    [1e-170, 3e-170, 7e-170],
    [3e100, -1e100, 2e90],
]:
    exact_x = [mpmath.mpf(v) for v in x]
    center = mpmath.fsum(exact_x) / len(x)
    squares = mpmath.fsum((v - center) ** 2 for v in exact_x)
    row("moments", [x], [center, squares / (len(x) - 1), mpmath.sqrt(squares / (len(x) - 1) / len(x))], "mpmath 1.3.0, 200 bits")

target = pathlib.Path(__file__).with_suffix(".json")
target.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
values = sum(len(r["expected"]) for r in rows)
print(f"{len(rows)} rows, {values} values ({sum(len(r['expected']) for r in rows if 'mpmath' not in r['source'])} not by mpmath) in {target}")
