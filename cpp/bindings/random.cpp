#include "meanfree/random.hpp"

#include "bindings.hpp"

namespace meanfree {

namespace {

using Words = py::array_t<std::uint32_t, py::array::c_style>;

Words philox_of_counters(const Words& counter, const Words& key) {
  if (counter.ndim() != 2 || counter.shape(1) != 4 || key.size() != 2) {
    throw std::invalid_argument("counter must have shape (n, 4) and key shape (2,)");
  }
  Words result(std::vector<py::ssize_t>{counter.shape(0), 4});
  const std::uint32_t* in = counter.data();
  std::uint32_t* out = result.mutable_data();
  for (py::ssize_t i = 0; i < counter.shape(0); ++i, in += 4, out += 4) {
    const auto words = philox({in[0], in[1], in[2], in[3]}, {key.data()[0], key.data()[1]});
    std::copy(words.begin(), words.end(), out);
  }
  return result;
}

Array normals_from_zero(std::uint64_t seed, std::uint64_t sample, std::uint64_t layer,
                        std::int64_t n) {
  Array result = new_array({n});
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  normals(seed, sample, layer, 0, n, out);
  return result;
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("philox", &philox_of_counters, py::arg("counter").noconvert(), py::arg("key").noconvert());
  m.def("normals", &normals_from_zero, py::arg("seed"), py::arg("sample"), py::arg("layer"),
        py::arg("n"));
}

}  // namespace meanfree
