"""Makes calculus.json, the outside values that tests/tests/authority/calculus.rs compares with.

    pip install torch==2.15.0 scipy==1.17.1 numpy==2.4.6 mpmath==1.3.0
    python calculus.py > calculus.json

An entry: function, inputs (lists of numbers), expected (a list of numbers), source.
"""

import json
import math
import sys

import mpmath
import numpy
import scipy
import scipy.optimize
import scipy.special
import torch

PINNED = {torch: "2.15.0", scipy: "1.17.1", numpy: "2.4.6", mpmath: "1.3.0"}
for package, version in PINNED.items():
    found = package.__version__.split("+")[0]
    assert found == version, f"{package.__name__} {found}: {version} is pinned"

TORCH, SCIPY = "PyTorch 2.15.0, float64", "SciPy 1.17.1"
NUMPY, MPMATH = "NumPy 2.4.6", "mpmath 1.3.0, 60 digits"
mpmath.mp.dps = 60
table = []


def number(x):
    """What JSON cannot hold is a string."""
    x = float(x)
    return x if math.isfinite(x) else str(x)


def put(function, inputs, expected, source):
    expected = [number(x) for x in expected]
    inputs = [[number(x) for x in row] for row in inputs]
    table.append({"function": function, "inputs": inputs, "expected": expected, "source": source})


# Activations with their first two derivatives, at inputs that are exact in binary.

def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


c = mpmath.mpf(0.044715)  # the f64 that everybody's code has
MAPS = {
    "relu": lambda x: x if x > 0 else mpmath.mpf(0),
    "leaky_relu": lambda x: x if x > 0 else mpmath.mpf(0.01) * x,
    "sigmoid": sigmoid,
    "tanh": mpmath.tanh,
    "gelu": lambda x: x * mpmath.ncdf(x),
    "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + c * x**3))),
    "silu": lambda x: x * sigmoid(x),
}
for name, f in MAPS.items():
    wide = [-40.0, -20.0] if name in ("sigmoid", "silu") else []
    for x in wide + [-2.5, -1.0, -0.25, 0.5, 1.0, 3.0]:
        derivatives = [mpmath.diff(f, mpmath.mpf(x), n) for n in range(3)]
        put(name, [[x]], derivatives, MPMATH)

# PyTorch decides conventions: the derivative where there is none.
x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
torch.relu(x).backward()
put("relu at the kink", [[0.0]], [torch.relu(x).item(), x.grad.item()], TORCH)
x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
torch.nn.functional.leaky_relu(x, 0.01).backward()
put("leaky_relu at the kink", [[0.0]], [0.0, x.grad.item()], TORCH)
x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
x.abs().backward()
put("abs at the kink", [[0.0]], [0.0, x.grad.item()], TORCH)

# Taylor coefficients.
SERIES = {
    "exp": mpmath.exp,
    "ln": mpmath.log,
    "ln_1p": lambda x: mpmath.log(1 + x),
    "sqrt": mpmath.sqrt,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "sigmoid": sigmoid,
    "reciprocal": lambda x: 1 / (1 + x * x),
}
for name, f in SERIES.items():
    for x in [0.375, 1.5]:
        put(f"taylor of {name}", [[x]], mpmath.taylor(f, mpmath.mpf(x), 7), MPMATH)

# Rosenbrock's valley: value, gradient, Hessian, a Hessian-vector product, curvatures.
for x in [[-1.2, 1.0], [0.5, 0.75, -0.25, 2.0]]:
    v = [1.0 - 0.5 * i for i in range(len(x))]
    put("rosenbrock", [x], [scipy.optimize.rosen(x)], SCIPY)
    put("rosenbrock gradient", [x], scipy.optimize.rosen_der(x), SCIPY)
    put("rosenbrock hessian", [x], scipy.optimize.rosen_hess(x).T.flatten(), SCIPY)
    put("rosenbrock hvp", [x, v], scipy.optimize.rosen_hess_prod(x, v), SCIPY)
    put("rosenbrock curvatures", [x], numpy.linalg.eigvalsh(scipy.optimize.rosen_hess(x)), NUMPY)

# The other landscapes: value, gradient, Hessian, by the definition in the papers that name them.
def bowl(x):
    return (torch.tensor([2.0, 8.0, -1.0], dtype=torch.float64) * x * x).sum() / 2


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def monkey_saddle(x):
    return x[0] ** 3 - 3 * x[0] * x[1] ** 2


for name, f, places in [
    ("bowl", bowl, [[1.0, 0.5, -2.0], [-0.3, 0.7, 1.1]]),
    ("himmelblau", himmelblau, [[3.0, 2.0], [-0.25, -0.875], [-2.5, 3.25], [0.5, -1.5]]),
    ("monkey saddle", monkey_saddle, [[2.0, 1.0], [-0.3, 0.7], [0.0, 0.0]]),
]:
    for place in places:
        x = torch.tensor(place, dtype=torch.float64, requires_grad=True)
        value = f(x)
        value.backward()
        put(name, [place], [value.item()], TORCH)
        put(name + " gradient", [place], x.grad.tolist(), TORCH)
        hessian = torch.autograd.functional.hessian(f, x.detach())
        put(name + " hessian", [place], hessian.T.flatten().tolist(), TORCH)

# A logistic regression: loss, gradient, Hessian.
points = torch.tensor([[0.5, -1.0], [1.5, 2.0], [-0.75, 0.25], [2.0, -0.5]], dtype=torch.float64)
labels = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)


def logistic(w):
    return torch.nn.functional.binary_cross_entropy_with_logits(points @ w[:2] + w[2], labels)


w = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
data = [points.flatten().tolist(), labels.tolist(), w.tolist()]
logistic(w).backward()
put("logistic regression", data, [logistic(w).item()] + w.grad.tolist(), TORCH)
hessian = torch.autograd.functional.hessian(logistic, w.detach())
put("logistic regression hessian", data, hessian.T.flatten().tolist(), TORCH)

# A Jacobian: softmax, whose rule is no business of calculus, from its parts.
z = torch.tensor([2.0, 1.0, 0.5, -1.0, 0.1], dtype=torch.float64)
jacobian = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, 0), z)
put("softmax jacobian", [z.tolist()], jacobian.T.flatten().tolist(), TORCH)

# Optimisers: the same eight gradients for three parameters, parameters after every step.
START = [1.0, -2.0, 0.5]
GRADIENTS = [
    [0.5 * math.cos(1.7 * t + i) * 10.0 ** (i - 1) for i in range(3)] for t in range(8)
]


def run(make):
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    rule, after = make([w]), []
    for g in GRADIENTS:
        w.grad = torch.tensor(g, dtype=torch.float64)
        rule.step()
        after += w.tolist()
    return after


O = torch.optim
RULES = {
    "sgd": ([0.1], lambda p: O.SGD(p, lr=0.1)),
    "momentum": ([0.1, 0.9], lambda p: O.SGD(p, lr=0.1, momentum=0.9)),
    "nesterov": ([0.1, 0.9], lambda p: O.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "rmsprop": ([0.01, 0.99, 1e-8], lambda p: O.RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8)),
    "adam": ([0.01, 0.9, 0.999, 1e-8, 0.0], lambda p: O.Adam(p, lr=0.01, foreach=False)),
    "adamw": (
        [0.01, 0.9, 0.95, 1e-8, 0.1],
        lambda p: O.AdamW(p, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1, foreach=False),
    ),
}
for name, (settings, make) in RULES.items():
    put(name, [settings, START, [g for row in GRADIENTS for g in row]], run(make), TORCH)

# Lion, from algorithm 2 of Chen et al. 2023, in 60 digits.
rate, beta1, beta2, decay = (mpmath.mpf(x) for x in [0.01, 0.9, 0.99, 0.1])
theta, m, after = [mpmath.mpf(x) for x in START], [mpmath.mpf(0)] * 3, []
for g in GRADIENTS:
    for i in range(3):
        update = mpmath.sign(beta1 * m[i] + (1 - beta1) * g[i])
        theta[i] -= rate * (update + decay * theta[i])
        m[i] = beta2 * m[i] + (1 - beta2) * g[i]
    after += theta
settings = [0.01, 0.9, 0.99, 0.1]
put("lion", [settings, START, [g for row in GRADIENTS for g in row]], after,
    "Chen et al. 2023, algorithm 2, in " + MPMATH)

# Clipping.
for limit in [1.0, 100.0]:
    p = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    p.grad = torch.tensor([3.0, -4.0, 0.5, 1e-3], dtype=torch.float64)
    start = p.grad.tolist()
    norm = torch.nn.utils.clip_grad_norm_([p], limit).item()
    put("clip by norm", [[limit], start], [norm] + p.grad.tolist(), TORCH)
p.grad = torch.tensor([3.0, -4.0, 0.5, -math.inf], dtype=torch.float64)
torch.nn.utils.clip_grad_value_([p], 1.0)
put("clip by value", [[1.0], [3.0, -4.0, 0.5, -math.inf]], p.grad.tolist(), TORCH)

# Schedules: rates of the steps 0, 1, ….
S = torch.optim.lr_scheduler


def rates(make, steps):
    rule = O.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule, found = make(rule), []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        rule.step()
        schedule.step()
    return found


def warm(rule, warmup, then):
    """Ours rises from peak/(warmup + 1) at step 0 to the peak at step `warmup`."""
    rise = S.LinearLR(rule, start_factor=1 / (warmup + 1), total_iters=warmup)
    return S.SequentialLR(rule, [rise, then(rule)], milestones=[warmup])


put("cosine", [[0.5, 0.05, 0, 20]],
    rates(lambda r: S.CosineAnnealingLR(r, T_max=20, eta_min=0.05), 21), TORCH)
put("cosine", [[0.5, 0.05, 4, 20]],
    rates(lambda r: warm(r, 4, lambda r: S.CosineAnnealingLR(r, T_max=16, eta_min=0.05)), 21), TORCH)
put("linear", [[0.5, 0.05, 0, 20]],
    rates(lambda r: S.LinearLR(r, 1.0, 0.1, total_iters=20), 23), TORCH)
put("staircase", [[0.5, 0.3, 5]], rates(lambda r: S.StepLR(r, 5, gamma=0.3), 20), TORCH)

LOSSES = [3.0, 2.5, 2.4, 2.4, 2.41, 2.3999, 2.39, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]
rule = O.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
schedule, found = S.ReduceLROnPlateau(rule, factor=0.5, patience=2, threshold=1e-4), []
for loss in LOSSES:
    schedule.step(loss)
    found.append(rule.param_groups[0]["lr"])
put("plateau", [[0.5, 0.5, 2, 1e-4], LOSSES], found, TORCH)

# The gradient through many layers: what vanishes.
w, x = 1.5, torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
for residual in [0.0, 1.0]:
    x, h = torch.tensor(0.3, dtype=torch.float64, requires_grad=True), None
    h = x
    for _ in range(24):
        h = residual * h + torch.sigmoid(w * h)
    (slope,) = torch.autograd.grad(h, x)
    put("depth", [[24, w, 0.3, residual]], [h.item(), slope.item()], TORCH)

# Tails: values and slopes that are small beside 1, and keep their digits.
for name, places in [
    ("gelu", [-5.0, -9.0, -12.5, -20.0, -30.0, -37.0]),
    ("gelu_tanh", [-5.0, -7.5, -9.0, -14.0, -20.0]),
    ("silu", [-300.0, 50.0]),
    ("tanh", [-9.0, 5.0, 15.0, 20.0, 300.0]),
]:
    mpmath.mp.dps = 400
    for x in places:
        put(name, [[x]], [mpmath.diff(MAPS[name], mpmath.mpf(x), n) for n in range(3)], MPMATH)
    mpmath.mp.dps = 60
for x in [-5.0, 0.0, 2.5, 5.0, 20.0]:
    put("erfc", [[x]], [mpmath.diff(mpmath.erfc, mpmath.mpf(x), n) for n in range(3)], MPMATH)

sys.stdout.write("[\n" + ",\n".join(json.dumps(entry) for entry in table) + "\n]\n")
