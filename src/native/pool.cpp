#include "pool.h"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "flush.h"

namespace gatewise {

namespace {

using Clock = std::chrono::steady_clock;
// How long a thread looks for news before it sleeps: longer than the gap between two parallel parts of one call, far
// shorter than what anyone would notice as load.
constexpr auto kSpin = std::chrono::microseconds(30);

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Look until there is news; true if it came within kSpin.
template <class F>
bool spin(const F& news) {
    const auto end = Clock::now() + kSpin;
    do {
        for (int i = 0; i < 32; ++i) {
            if (news()) return true;
            pause();
        }
    } while (Clock::now() < end);
    return news();
}

// The processors that a thread may use. The pool's threads get those of whoever calls, which may have changed since a
// thread was started; and where there are enough of them, without the one that the caller is on. A thread that is woken
// is put beside its waker unless another processor is idle: beside one busy stranger, two threads would then share one
// processor from the first part to the last.
#if defined(__linux__)
class Affinity {
  public:
    static Affinity beside_caller(int parts) {
        Affinity now;
        now.known_ = sched_getaffinity(0, sizeof now.set_, &now.set_) == 0;  // not with more than 1024 processors
        const int mine = sched_getcpu();
        if (now.known_ && mine >= 0 && CPU_COUNT(&now.set_) >= parts) CPU_CLR(mine, &now.set_);
        return now;
    }
    // Make it `thread`'s.
    void give(std::thread& thread) const {
        if (known_) static_cast<void>(pthread_setaffinity_np(thread.native_handle(), sizeof set_, &set_));
    }
    bool operator==(const Affinity& other) const {
        return known_ == other.known_ && (!known_ || CPU_EQUAL(&set_, &other.set_));
    }

  private:
    cpu_set_t set_{};
    bool known_ = false;
};
#else
struct Affinity {
    static Affinity beside_caller(int) { return {}; }
    void give(std::thread&) const {}
    bool operator==(const Affinity&) const { return true; }
};
#endif

struct Work {
    void (*work)(void*, int);
    void* data;
    int parts;
};

class Pool {
  public:
    bool try_run(const Work& work) {
        std::unique_lock<std::mutex> alone(one_caller_, std::try_to_lock);
        if (!alone.owns_lock()) return false;
        while (static_cast<int>(threads_.size()) < work.parts - 1) {
            const int part = static_cast<int>(threads_.size()) + 1;
            threads_.emplace_back([this, part, seen = round_.load()] { serve(part, seen); });
            given_to_ = 0;
        }
        place(work.parts);
        error_ = nullptr;
        left_.store(work.parts - 1, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = work;
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        part_of(work, 0);
        if (!spin([&] { return left_.load(std::memory_order_acquire) == 0; })) {
            std::unique_lock<std::mutex> lock(mutex_);
            done_.wait(lock, [&] { return left_.load(std::memory_order_acquire) == 0; });
        }
        if (error_) std::rethrow_exception(error_);
        return true;
    }

  private:
    // Before they are woken: a thread that has to wait for a processor cannot move itself to another.
    void place(int parts) {
        const Affinity wanted = Affinity::beside_caller(parts);
        if (given_to_ >= parts - 1 && wanted == given_) return;
        for (int n = 0; n < parts - 1; ++n) wanted.give(threads_[static_cast<size_t>(n)]);
        given_ = wanted;
        given_to_ = parts - 1;
    }

    void part_of(const Work& work, int part) {
        try {
            const FlushDenormals flush;
            work.work(work.data, part);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
        }
    }

    // The thread of one part number: `seen` is the last round that it need not look at.
    void serve(int part, uint64_t seen) {
        for (;;) {
            const auto news = [&] { return round_.load(std::memory_order_acquire) != seen; };
            spin(news);
            Work work;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, news);
                seen = round_.load(std::memory_order_relaxed);
                work = work_;
            }
            if (part >= work.parts) continue;
            part_of(work, part);
            if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                std::lock_guard<std::mutex> lock(mutex_);
                done_.notify_one();
            }
        }
    }

    std::mutex one_caller_;
    std::mutex mutex_;  // guards work_, error_ and the two conditions
    std::condition_variable wake_, done_;
    Work work_{};
    std::exception_ptr error_;
    std::atomic<uint64_t> round_{0};
    std::atomic<int> left_{0};
    std::vector<std::thread> threads_;
    Affinity given_{};  // to the first given_to_ of them
    int given_to_ = 0;
};

// Never destroyed: its threads may still sleep when the process ends. A forked child has none of them and starts anew.
std::atomic<Pool*> the_pool{nullptr};

Pool& pool() {
    static const int once = pthread_atfork(nullptr, nullptr, [] { the_pool.store(nullptr); });
    static_cast<void>(once);
    Pool* have = the_pool.load();
    if (have != nullptr) return *have;
    auto fresh = std::make_unique<Pool>();
    if (the_pool.compare_exchange_strong(have, fresh.get())) have = fresh.release();
    return *have;
}

}  // namespace

void run_parts(int parts, void (*work)(void* data, int part), void* data) {
    if (parts > 1 && pool().try_run({work, data, parts})) return;
    const FlushDenormals flush;
    for (int part = 0; part < parts; ++part) work(data, part);
}

}  // namespace gatewise
