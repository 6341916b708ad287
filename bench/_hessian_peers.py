"""Losses of networks, their Hessians and spectra by torch, JAX, hessian-eigenthings, curvlinops.

Every class is made of a network, x, y (labels for the cross-entropy) and computes in float64.
"""

import numpy as np


class Torch:
    """The loss as a function of all parameters, and its Hessian."""

    def __init__(self, net, x, y):
        import torch

        torch.set_num_threads(1)
        self.torch, self.shapes = torch, [w.shape for w in net.weights]
        self.w, self.x, self.y = (torch.from_numpy(a) for a in (net.parameters, x, y))
        self.is_mse = net.objective == "mse"

    def loss(self, w):
        """Return the loss at w."""
        functional = self.torch.nn.functional
        first, h = 0, self.x
        for layer, (n_out, n_in) in enumerate(self.shapes):
            middle = first + n_out * n_in
            h = self.torch.tanh(h) if layer else h
            matrix, first = w[first:middle].reshape(n_out, n_in), middle + n_out
            h = functional.linear(h, matrix, w[middle:first])
        if self.is_mse:
            return 0.5 * ((h - self.y) ** 2).sum(1).mean()
        return functional.cross_entropy(h, self.y)

    def product(self, v):
        """Return a product of the Hessian with a vector, forward over reverse."""
        gradient = self.torch.func.grad(self.loss)
        return self.torch.func.jvp(gradient, (self.w,), (v,))[1]

    def by_products(self):
        """Return the Hessian as products with unit vectors."""
        eye = self.torch.eye(self.w.numel(), dtype=self.w.dtype)
        return self.torch.func.vmap(self.product, chunk_size=50)(eye)

    def hessians(self):
        """Return the ways to the Hessian."""
        return {
            "torch.autograd.functional.hessian": lambda: self.torch.autograd.functional.hessian(
                self.loss, self.w
            ),
            "torch.func.hessian": lambda: self.torch.func.hessian(self.loss)(self.w),
            "torch vmap of jvp of grad, chunks of 50": self.by_products,
        }


class Jax:
    """Compiled once for the samples; the point is an argument, unless it is linearised at."""

    def __init__(self, net, x, y):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        shapes = [w.shape for w in net.weights]
        w, x, y = (jnp.asarray(a) for a in (net.parameters, x, y))

        def loss(w):
            first, h = 0, x
            for layer, (n_out, n_in) in enumerate(shapes):
                middle = first + n_out * n_in
                h = jnp.tanh(h) if layer else h
                matrix, first = w[first:middle].reshape(n_out, n_in), middle + n_out
                h = h @ matrix.T + w[middle:first]
            if net.objective == "mse":
                return 0.5 * ((h - y) ** 2).sum(1).mean()
            return -jax.nn.log_softmax(h)[jnp.arange(len(y)), y].mean()

        gradient = jax.grad(loss)
        hessian = jax.jit(jax.hessian(loss))
        product = jax.jit(lambda w, v: jax.jvp(gradient, (w,), (v,))[1])
        linear = jax.jit(jax.linearize(gradient, w)[1])
        self.asarray = jnp.asarray
        self.hessian = lambda: hessian(w).block_until_ready()
        self.product = lambda v: product(w, v).block_until_ready()
        self.linear = lambda v: linear(v).block_until_ready()


class _Module:
    """The network as torch's module, for squared errors."""

    def __init__(self, net, x, y):
        import torch

        torch.set_num_threads(1)
        layers = []
        for weight in net.weights:
            n_out, n_in = weight.shape
            layers += [torch.nn.Tanh(), torch.nn.Linear(n_in, n_out, dtype=torch.float64)]
        self.module = torch.nn.Sequential(*layers[1:])
        torch.nn.utils.vector_to_parameters(
            torch.from_numpy(net.parameters), self.module.parameters()
        )
        self.data = [(torch.from_numpy(x), torch.from_numpy(y))]


class Eigenthings(_Module):
    """hessian-eigenthings, with re-orthogonalisation."""

    def __init__(self, net, x, y):
        import hessian_eigenthings

        super().__init__(net, x, y)
        self._package = hessian_eigenthings
        loss = hessian_eigenthings.supervised_loss(lambda z, y: 0.5 * ((z - y) ** 2).sum(1).mean())
        self._operator = hessian_eigenthings.HessianOperator(self.module, self.data, loss)

    def largest(self, k, steps):
        """Return the k largest eigenvalues, rising, and their residuals."""
        found = self._package.lanczos(
            self._operator, k=k, max_iter=steps, which="LA", reorthogonalize=True, seed=0
        )
        return found.eigenvalues.numpy()[::-1], found.residuals.numpy()[::-1]

    def steps_for(self, k, tol):
        """Return the fewest steps, in tens, that bring the residuals to tol times the largest."""
        steps = k
        while True:
            steps = min(steps + 10, self._operator.size)
            values, residuals = self.largest(k, steps)
            if residuals.max() <= tol * np.abs(values).max() or steps == self._operator.size:
                return steps

    def density(self, n_probes, n_steps):
        """Return nodes and weights of the quadrature."""
        found = self._package.spectral_density(
            self._operator, num_runs=n_probes, lanczos_steps=n_steps, num_grid_points=2, seed=0
        )
        return found.raw_eigenvalues.numpy(), found.raw_weights.numpy()


class Curvlinops(_Module):
    """curvlinops, its eigenvalues by ARPACK."""

    def __init__(self, net, x, y):
        import curvlinops
        import torch
        from curvlinops.papyan2020traces.spectrum import fast_lanczos

        super().__init__(net, x, y)
        self._lanczos = fast_lanczos
        self._operator = curvlinops.HessianLinearOperator(
            self.module,
            torch.nn.MSELoss(),  # the mean over samples and outputs
            list(self.module.parameters()),
            self.data,
            check_deterministic=False,
        )
        self._factor = 0.5 * y.shape[1]

    def largest(self, k, tol):
        """Return the k largest eigenvalues, rising."""
        from scipy.sparse.linalg import eigsh

        matrix = self._operator.to_scipy(np.float64)
        start = np.random.default_rng(0).standard_normal(matrix.shape[0])
        values = eigsh(matrix, k, which="LA", tol=tol, v0=start, return_eigenvectors=True)[0]
        return self._factor * np.sort(values)

    def density(self, n_probes, n_steps):
        """Return nodes and weights of the quadrature; without re-orthogonalisation."""
        nodes, weights = np.empty((2, n_probes, n_steps))
        for probe in range(n_probes):
            values, vectors = self._lanczos(self._operator, n_steps)
            nodes[probe] = self._factor * values.numpy()
            weights[probe] = vectors[0].numpy() ** 2
        return nodes, weights
