import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from meanfree import _core

# Each would take a minute or more if nothing stopped it.
LONG_CALLS = {
    "simulate_propagation, weights": (
        "mf.simulate_propagation(network, 400, 100, q=1.0, c=0.5, n_samples=100_000, seed=0,"
        " method='weights', n_threads={n_threads}, progress=False)"
    ),
    "simulate_propagation, gram": (
        "mf.simulate_propagation(network, 1000, 1000, q=1.0, c=0.5, n_samples=1_000_000, seed=0,"
        " method='gram', n_threads={n_threads}, progress=False)"
    ),
    "simulate_jacobian": (
        "mf.simulate_jacobian(network, 100, 50, q=1.0, n_samples=100_000, seed=0,"
        " n_threads={n_threads}, progress=False)"
    ),
    "simulate_jacobian, one large network": (
        "mf.simulate_jacobian(network, 2000, 1000, q=1.0, n_samples=1, seed=0,"
        " n_threads={n_threads}, progress=False)"
    ),
    "simulate_circle, weights": (
        "mf.simulate_circle(network, 1500, 50, q=1.0, n_angles=3000, n_samples=4,"
        " method='weights', n_threads={n_threads}, progress=False)"
    ),
    "simulate_circle, gram": (
        "mf.simulate_circle(network, 1500, 50, q=1.0, n_angles=3000, n_samples=4,"
        " method='gram', n_threads={n_threads}, progress=False)"
    ),
    "simulate_circle, auto": (
        "mf.simulate_circle(network, 400, 50, q=1.0, n_angles=300, n_samples=100_000,"
        " n_threads={n_threads}, progress=False)"
    ),
    "phase_diagram": (
        "mf.phase_diagram('tanh', np.linspace(1, 5, 3000), np.linspace(0, 4, 3000),"
        " n_threads={n_threads}, progress=False)"
    ),
    "length_map": "mf.length_map(network, np.ones(10_000_000), n_threads={n_threads})",
    "covariance_map": (
        "mf.covariance_map(network, 1.0, 2.0, np.full(5_000_000, 0.5), n_threads={n_threads})"
    ),
    "correlation_map": (
        "mf.correlation_map(network, np.full(5_000_000, 0.5), q=1.0, n_threads={n_threads})"
    ),
    "propagate": (
        "mf.propagate(network, 20_000, q=1.0, c=np.full(2000, 0.5), n_threads={n_threads})"
    ),
    "phase_diagram of a user's activation": (
        "mf.phase_diagram(mf.Activation(np.arctan), np.linspace(1, 5, 3000),"
        " np.linspace(0, 4, 3000), n_threads={n_threads}, progress=False)"
    ),
    "linear_regions": (
        "linear_regions(*sawtooth(30), [0.0, 1.0], n_threads={n_threads}, progress=False)"
    ),
    "descend": (
        "descend([np.tri(10)] * 3, np.eye(10), eta=1e-9, steps=10**9, record_every=10**9,"
        " n_threads={n_threads}, progress=False)"
    ),
    "descend, modes": (
        "descend([np.eye(10)] * 3, np.eye(10), eta=0.01, steps=10**9, record_every=10**9,"
        " n_threads={n_threads}, progress=False)"
    ),
    "descend, large matrices": (
        "descend([np.tri(700)] * 3, np.eye(700), eta=[1e-19, 1e-20], steps=5000,"
        " record_every=5000, n_threads={n_threads}, progress=False)"
    ),
    "gradient_flow": (
        "gradient_flow([0.01 * np.tri(700)] * 3, np.diag(np.arange(1.0, 701.0)), t=100.0,"
        " n_threads={n_threads}, progress=False)"
    ),
}

# These run the loops of others, with other work in them.
MORE = {
    "simulate_propagation, gram",
    "simulate_circle, gram",
    "simulate_circle, auto",
    "covariance_map",
    "correlation_map",
    "phase_diagram of a user's activation",
    "descend, modes",
    "descend, large matrices",
    "gradient_flow",
    "simulate_jacobian",
    "length_map",
}

# These know one thread only.
LONG_CALLS_OF_ONE_THREAD = {
    "jacobian_spectrum, all lengths different": (
        "mf.jacobian_spectrum(network, 20_000, q=np.linspace(0.5, 1.5, 20_000), progress=False)"
    ),
    "jacobian_spectrum of a user's slow activation": (
        "mf.jacobian_spectrum(mf.Ensemble(slow, 1.1), 100, q=np.linspace(0.5, 1.5, 100))"
    ),
    "tune_critical of a user's slow activation": "mf.tune_critical(slow, 100, progress=False)",
    "critical_points of a user's slow function": (
        "critical_points(Slow(), np.random.default_rng(0).uniform(-9, 9, (9000, 9)),"
        " method='gradient_norm')"
    ),
    "saddle_free_newton on a user's slow function": (
        "saddle_free_newton(Slow(), np.ones(99), steps=10**6, dimension=3, dampings=[9.0])"
    ),
    "log_singular_values": "mf.log_singular_values([np.eye(1000) + 0.001] * 300, progress=False)",
}

CHILD = """
import signal, sys, time
import numpy as np
import meanfree as mf
from meanfree.landscape import critical_points
from meanfree.linear import descend, gradient_flow
from meanfree.manifold import linear_regions, sawtooth
from meanfree.optim import saddle_free_newton
class Slow:
    def value(self, w):
        return np.sin(w).sum(axis=-1)
    def gradient(self, w):
        time.sleep(0.1)
        return np.cos(w)
    def hessian(self, w):
        return -np.sin(w)[..., None] * np.eye(w.shape[-1])
    def hvp(self, w, v):
        return -np.sin(w) * v
network = mf.Ensemble("tanh", 1.5, 0.1)
def tanh(h):
    time.sleep(0.1 if slowly else 0.0)
    return np.tanh(h)
slowly = False
slow = mf.Activation(tanh)
slowly = True
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print(time.time(), flush=True)
print(mf.length_map(network, 1.0) > 0)
"""


def seconds_to_interrupt(code: str, after: float) -> float:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(after)
            assert child.poll() is None, "the call was too short to be interrupted"
            sent = time.time()
            child.send_signal(signal.SIGINT)
            answer, works = child.stdout.read().split()
        finally:
            child.kill()
    assert works == "True"
    return float(answer) - sent


@pytest.mark.parametrize("n_threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "call",
    [pytest.param(call, marks=pytest.mark.slow if call in MORE else ()) for call in LONG_CALLS],
)
def test_interrupt_ends_a_long_call_within_half_a_second(call, n_threads):
    check_interrupt(LONG_CALLS[call].format(n_threads=n_threads))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, marks=pytest.mark.slow if "slow" in call else ())
        for call in LONG_CALLS_OF_ONE_THREAD
    ],
)
def test_interrupt_ends_a_long_call_of_one_thread_within_half_a_second(call):
    check_interrupt(LONG_CALLS_OF_ONE_THREAD[call])


def check_interrupt(call: str) -> None:
    code = CHILD.format(call=call)
    # A call that does not poll takes seconds every time; on a busy machine one that does may once
    # have to wait for a processor.
    delays = []
    for after in (0.3, 0.7, 1.3):
        delays.append(seconds_to_interrupt(code, after))
        if delays[-1] < 0.5:
            return
    pytest.fail(f"took {delays} s")


FORK = """
import os
import meanfree as mf
from meanfree.manifold import linear_regions, sawtooth
network = mf.Ensemble("tanh", 1.5, 0.1)
def run():
    return mf.simulate_propagation(
        network, 50, 5, q=1.0, c=0.5, n_samples=20, seed=0, n_threads=2, progress=False
    ).q.tobytes()
before = run()
child = os.fork()
if child == 0:
    os._exit(run() != before)
assert os.waitpid(child, 0)[1] == 0
"""


def test_fork_after_use_finishes_with_the_same_result():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=30)


def simulate(progress=None, *, n_samples=64, seed=0, n_threads=2):
    phi = ("tanh", 0.0)
    return _core.simulate_propagation(
        phi, 1.5, 0.1, 1.0, 0, 100, 10, 1.0, 0.5, n_samples, seed, 0, n_threads, progress
    )


@pytest.mark.parametrize("n_threads", [1, 2])
def test_exception_of_the_progress_report_reaches_the_caller(n_threads):
    def fail(done):
        raise ArithmeticError(done)

    with pytest.raises(ArithmeticError):
        simulate(fail, n_threads=n_threads)
    simulate(n_threads=n_threads)


def test_no_thread_outlives_a_call():
    before = set(os.listdir("/proc/self/task"))
    simulate(n_threads=4)
    assert set(os.listdir("/proc/self/task")) <= before


def test_calls_from_several_threads_do_not_disturb_each_other():
    alone = [simulate(seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: simulate(seed=seed), range(8)))
    np.testing.assert_array_equal(alone, together)
