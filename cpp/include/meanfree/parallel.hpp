// Parallel loop over blocks of work on std::thread. Nothing outlives the call, so a process may
// fork afterwards; the caller stays responsive, so that Ctrl-C ends a long call.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace meanfree {

/// Thrown by Pause::check in a worker when another worker failed or the caller was interrupted.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

constexpr std::chrono::milliseconds poll_interval{50};

/// What a block of work uses to let the call end early: it calls check() at least every 50 ms.
class Pause {
 public:
  /// For a worker thread: check() only looks at the flag.
  explicit Pause(const std::atomic<bool>* stop) : stop_(stop) {}

  /// For work done in the calling thread: check() polls when 50 ms have passed.
  template <class Poll>
  explicit Pause(Poll& poll)
      : context_(&poll), call_([](void* context) { (*static_cast<Poll*>(context))(); }) {}

  void check() {
    if (stop_ != nullptr) {
      if (stop_->load(std::memory_order_relaxed)) throw Interrupted();
      return;
    }
    if (Clock::now() < next_) return;
    call_(context_);
    next_ = Clock::now() + poll_interval;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const std::atomic<bool>* stop_ = nullptr;
  void* context_ = nullptr;
  void (*call_)(void*) = nullptr;
  Clock::time_point next_ = Clock::now() + poll_interval;
};

/// Call work(block, pause) for each block in [0, n_blocks), on n_threads threads, in ascending
/// order of their start; meanwhile the calling thread calls poll(blocks done) every 50 ms, and once
/// more at the end. The first exception of work or poll stops the rest and is thrown to the caller.
/// With one thread everything happens in the calling one.
template <class Work, class Poll>
void for_each_block(std::int64_t n_blocks, int n_threads, Work&& work, Poll&& poll) {
  if (n_threads < 1) throw std::invalid_argument("n_threads must be >= 1");
  std::atomic<std::int64_t> next{0}, done{0};
  const auto run = [&](Pause& pause) {
    for (;;) {
      pause.check();
      const std::int64_t block = next.fetch_add(1, std::memory_order_relaxed);
      if (block >= n_blocks) return;
      work(block, pause);
      done.fetch_add(1, std::memory_order_relaxed);
    }
  };

  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::exception_ptr failure;
  int running = 0;
  const auto fail = [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!failure) failure = std::current_exception();
    stop.store(true, std::memory_order_relaxed);
  };
  const auto worker = [&] {
    Pause pause(&stop);
    try {
      run(pause);
    } catch (...) {
      fail();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    --running;
    changed.notify_one();
  };

  std::vector<std::thread> threads;
  const std::int64_t wanted = std::min<std::int64_t>(n_threads, n_blocks);
  if (wanted > 1) {
    threads.reserve(static_cast<std::size_t>(wanted));
    try {
      while (static_cast<std::int64_t>(threads.size()) < wanted) {
        {
          const std::lock_guard<std::mutex> lock(mutex);
          ++running;
        }
        threads.emplace_back(worker);
      }
    } catch (const std::system_error&) {  // no more threads to be had: fewer do the same work
      const std::lock_guard<std::mutex> lock(mutex);
      --running;
    }
  }

  if (threads.empty()) {
    auto poll_done = [&] { poll(done.load(std::memory_order_relaxed)); };
    Pause pause(poll_done);
    run(pause);
  } else {
    std::unique_lock<std::mutex> lock(mutex);
    while (!changed.wait_for(lock, poll_interval, [&] { return running == 0; })) {
      lock.unlock();
      try {
        if (!stop.load(std::memory_order_relaxed)) poll(done.load(std::memory_order_relaxed));
      } catch (...) {
        fail();
      }
      lock.lock();
    }
    lock.unlock();
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }
  poll(n_blocks);
}

}  // namespace meanfree
