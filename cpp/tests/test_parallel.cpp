#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "meanfree/parallel.hpp"

namespace meanfree {
namespace {
using Clock = std::chrono::steady_clock;

const auto ignore = [](std::int64_t) {};

// Work for ever, as a block of a long call does: only check() ends it.
void spin(Pause& pause) {
  for (;;) {
    pause.check();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_CASE("every block is worked on once, whatever the number of threads") {
  for (const int n_threads : {1, 2, 3, 8}) {
    for (const std::int64_t n_blocks : {0, 1, 2, 5, 100}) {
      std::vector<int> visits(static_cast<std::size_t>(n_blocks));
      for_each_block(
          n_blocks, n_threads,
          [&](std::int64_t block, Pause&) { ++visits[static_cast<std::size_t>(block)]; }, ignore);
      for (const int n : visits) CHECK(n == 1);
    }
  }
}

TEST_CASE("one thread means the calling thread and ascending order") {
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<std::int64_t> order;
  for_each_block(
      10, 1,
      [&](std::int64_t block, Pause&) {
        CHECK((std::this_thread::get_id() == caller));
        order.push_back(block);
      },
      ignore);
  std::vector<std::int64_t> ascending(10);
  std::iota(ascending.begin(), ascending.end(), 0);
  CHECK(order == ascending);
}

TEST_CASE("blocks start in ascending order on each of several threads") {
  std::mutex mutex;
  std::vector<std::pair<std::thread::id, std::int64_t>> order;
  for_each_block(
      200, 3,
      [&](std::int64_t block, Pause&) {
        const std::lock_guard<std::mutex> lock(mutex);
        order.emplace_back(std::this_thread::get_id(), block);
      },
      ignore);
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t j = i + 1; j < order.size(); ++j) {
      if (order[i].first == order[j].first) CHECK(order[i].second < order[j].second);
    }
  }
}

TEST_CASE("the last poll reports all blocks") {
  for (const int n_threads : {1, 4}) {
    std::int64_t last = -1;
    for_each_block(
        7, n_threads, [](std::int64_t, Pause&) {}, [&](std::int64_t done) { last = done; });
    CHECK(last == 7);
  }
}

TEST_CASE("an exception of the work reaches the caller and ends the other workers") {
  for (const int n_threads : {1, 2, 5}) {
    std::string message;
    try {
      for_each_block(
          5, n_threads,
          [](std::int64_t block, Pause& pause) {
            if (block == 0) throw std::domain_error("block 0");
            spin(pause);
          },
          ignore);
    } catch (const std::domain_error& error) {
      message = error.what();
    }
    CHECK(message == "block 0");
  }
}

TEST_CASE("an exception of the poll ends the call within half a second") {
  struct Stop {};
  for (const int n_threads : {1, 2, 4}) {
    const auto start = Clock::now();
    CHECK_THROWS_AS(for_each_block(
                        100, n_threads, [](std::int64_t, Pause& pause) { spin(pause); },
                        [](std::int64_t) { throw Stop(); }),
                    Stop);
    CHECK(Clock::now() - start < std::chrono::milliseconds(500));
  }
}

TEST_CASE("the poll runs in the calling thread, again and again while blocks are long") {
  const std::thread::id caller = std::this_thread::get_id();
  for (const int n_threads : {1, 2}) {
    int polls = 0;
    for_each_block(
        2, n_threads,
        [](std::int64_t, Pause& pause) {
          const auto end = Clock::now() + std::chrono::milliseconds(400);
          while (Clock::now() < end) {
            pause.check();
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          }
        },
        [&](std::int64_t) {
          CHECK((std::this_thread::get_id() == caller));
          ++polls;
        });
    CHECK(polls >= 3);  // 8 when the machine is idle; a loaded one wakes the caller late
  }
}

TEST_CASE("fewer than one thread is refused") {
  CHECK_THROWS_AS(for_each_block(1, 0, [](std::int64_t, Pause&) {}, ignore), std::invalid_argument);
}

}  // namespace
}  // namespace meanfree
