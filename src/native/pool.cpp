#include "pool.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "system.h"

namespace gatewise {

namespace {

using Clock = std::chrono::steady_clock;
// How long a thread spins before it sleeps: longer than the gap between two parallel parts of one call, and far too
// short to show as load.
constexpr auto kSpinTime = std::chrono::microseconds(30);

// While one of these lives, denormal results and operands count as zero in its thread.
//
// Denormals come from saturated gates and vanishing gradients, where they mean nothing, and cost up to a hundred cycles
// each. Only intrinsics and assembly reach the control registers.
class FlushDenormals {
  public:
#if defined(__SSE__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }  // flush to zero, denormals are zero
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t{1} << 24)));  // FZ
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#else
    FlushDenormals() {}
#endif
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
};

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Spin until ready() or for kSpinTime. Returns whether it is ready.
template <class F>
bool spin(const F& ready) {
    const auto end = Clock::now() + kSpinTime;
    do {
        for (int i = 0; i < 32; ++i) {
            if (ready()) return true;
            pause();
        }
    } while (Clock::now() < end);
    return ready();
}

// The processors that a thread may use. The pool's threads get the caller's, which may have changed since they started.
// Where there are enough, they do not get the one that the caller is on: Linux puts a thread that is woken on its
// waker's processor unless another one is idle, and with one other process busy there, two threads would share that
// processor to the end.
#if defined(__linux__)
class Affinity {
  public:
    static Affinity without_caller(Index threads) {
        Affinity now;
        now.known_ = sched_getaffinity(0, sizeof now.set_, &now.set_) == 0;  // fails with more than 1024 processors
        const int current = sched_getcpu();
        if (now.known_ && current >= 0 && CPU_COUNT(&now.set_) >= threads) CPU_CLR(current, &now.set_);
        return now;
    }
    void apply_to(std::thread& thread) const {
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
    static Affinity without_caller(Index) { return {}; }
    void apply_to(std::thread&) const {}
    bool operator==(const Affinity&) const { return true; }
};
#endif

struct Work {
    void (*call)(void* data, Index thread);
    void* data;
    Index threads;
};

class Pool {
  public:
    // False where the pool is busy.
    bool try_run(Work work) {
        std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
        if (!caller.owns_lock()) return false;
        work.threads = start_threads(work.threads);
        set_affinity(work.threads);
        error_ = nullptr;
        running_.store(work.threads - 1, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = work;
            started_ = 0;
            round_.fetch_add(1, std::memory_order_release);
        }
        start_.notify_all();
        run(work, 0);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_.threads = 1;  // nobody else starts
            running_.fetch_sub(work.threads - 1 - started_, std::memory_order_relaxed);
        }
        const auto finished = [&] { return running_.load(std::memory_order_acquire) == 0; };
        if (!spin(finished)) {
            std::unique_lock<std::mutex> lock(mutex_);
            done_.wait(lock, finished);
        }
        if (error_) std::rethrow_exception(error_);
        return true;
    }

  private:
    // The number of threads that there are, at most `wanted`, the caller included. The system may refuse to start one
    // (a limit on processes or on memory); the caller then takes over its part, as that of a thread that starts late.
    Index start_threads(Index wanted) {
        try {
            while (std::ssize(threads_) < wanted - 1) {
                const Index number = std::ssize(threads_) + 1;
                threads_.emplace_back([this, number, seen = round_.load()] { serve(number, seen); });
                with_affinity_ = 0;
            }
        } catch (const std::system_error&) {
            return std::ssize(threads_) + 1;
        }
        return wanted;
    }

    // Called before the threads are woken: a thread that waits for a processor cannot move itself to another.
    void set_affinity(Index threads) {
        const Affinity wanted = Affinity::without_caller(threads);
        if (with_affinity_ >= threads - 1 && wanted == affinity_) return;
        for (Index n = 0; n < threads - 1; ++n) wanted.apply_to(threads_[n]);
        affinity_ = wanted;
        with_affinity_ = threads - 1;
    }

    void run(const Work& work, Index thread) {
        try {
            const FlushDenormals flush;
            work.call(work.data, thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
        }
    }

    // The loop of thread `number`. `seen` is the last round before it started.
    void serve(Index number, uint64_t seen) {
        for (;;) {
            const auto started = [&] { return round_.load(std::memory_order_acquire) != seen; };
            spin(started);
            Work work;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                start_.wait(lock, started);
                seen = round_.load(std::memory_order_relaxed);
                work = work_;
                if (number >= work.threads) continue;
                ++started_;
            }
            run(work, number);
            if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                std::lock_guard<std::mutex> lock(mutex_);
                done_.notify_one();
            }
        }
    }

    std::mutex caller_;  // held by the caller whose work runs
    std::mutex mutex_;   // guards work_, started_, error_ and the two conditions
    std::condition_variable start_, done_;
    Work work_{};
    Index started_ = 0;  // threads besides the caller that have started work_
    std::exception_ptr error_;
    std::atomic<uint64_t> round_{0};
    std::atomic<Index> running_{0};  // threads besides the caller that have not finished work_, or may still start it
    std::vector<std::thread> threads_;
    Affinity affinity_{};  // of the first with_affinity_ of them
    Index with_affinity_ = 0;
};

// Who runs a share of run_shares.
class ShareOwner {
  public:
    // For a share that has not started.
    bool start() { return exchange(kWaiting, kRunning); }
    // Between two segments: leave the share to the thread that has asked for it, if there is one.
    bool give() { return exchange(kAsked, kGiven); }
    void finish() { state_.store(kFinished, std::memory_order_release); }
    // Ask for a share that another thread runs, and wait for it. False where a third thread has asked already, or
    // where the share has finished.
    bool take() {
        if (!exchange(kRunning, kAsked)) return false;
        const auto answered = [&] { return state_.load(std::memory_order_acquire) != kAsked; };
        while (!spin(answered)) std::this_thread::yield();
        return exchange(kGiven, kRunning);
    }

  private:
    enum State { kWaiting, kRunning, kAsked, kGiven, kFinished };
    bool exchange(State from, State to) { return state_.compare_exchange_strong(from, to, std::memory_order_acq_rel); }

    std::atomic<State> state_{kWaiting};
};

// It is never destroyed, since its threads may still sleep when the process ends. A forked child has none of the
// threads and makes a pool of its own.
std::atomic<Pool*> the_pool{nullptr};

Pool& pool() {
    static const bool once = (at_fork(nullptr, nullptr, [] { the_pool.store(nullptr); }), true);
    static_cast<void>(once);
    Pool* current = the_pool.load();
    if (current != nullptr) return *current;
    auto created = std::make_unique<Pool>();
    if (the_pool.compare_exchange_strong(current, created.get())) current = created.release();
    return *current;
}

}  // namespace

void run_threads(Index threads, void (*work)(void* data, Index thread), void* data) {
    if (threads > 1 && pool().try_run({.call = work, .data = data, .threads = threads})) return;
    const FlushDenormals flush;
    work(data, 0);
}

void run_shares(Index shares, bool (*advance)(void* data, Index share), void* data) {
    std::vector<ShareOwner> owners(shares);
    // False where the share was given away before its end. Its thread then leaves: each share has one.
    auto run = [&](Index share) {
        do {
            if (owners[share].give()) return false;
        } while (advance(data, share));
        owners[share].finish();
        return true;
    };
    auto work = [&](Index thread) {
        for (Index n = 0; n < shares; ++n)
            if (const Index share = (thread + n) % shares; owners[share].start() && !run(share)) return;
        for (Index n = 1; n < shares; ++n)
            if (const Index share = (thread + n) % shares; owners[share].take() && !run(share)) return;
    };
    run_threads(shares, [](void* data, Index thread) { (*static_cast<decltype(work)*>(data))(thread); }, &work);
}

}  // namespace gatewise
