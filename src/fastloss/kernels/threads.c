/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A small pool of threads. It starts with the first work that wants it; a process that forks leaves its child a pool
 * that has not started. One region runs at a time: whoever finds the gate closed, from inside a task or from another
 * thread, does its work alone. A thread that wakes up too late finds the region closed and sleeps on, so nobody waits
 * for it. Where no thread can be had, work is done by the caller.
 */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "fastloss.h"

#include <stdint.h>

enum { WORKERS = 255 };

#if defined(_WIN32)

#include <windows.h>
typedef SRWLOCK lock_type;
typedef CONDITION_VARIABLE signal_type;
#define LOCK_INIT SRWLOCK_INIT
#define SIGNAL_INIT CONDITION_VARIABLE_INIT
#define lock(l) AcquireSRWLockExclusive(l)
#define try_lock(l) TryAcquireSRWLockExclusive(l)
#define unlock(l) ReleaseSRWLockExclusive(l)
#define sleep_on(s, l) SleepConditionVariableSRW(s, l, INFINITE, 0)
#define wake_all(s) WakeAllConditionVariable(s)

#elif defined(__unix__) || defined(__APPLE__)

#include <pthread.h>
#include <signal.h>
typedef pthread_mutex_t lock_type;
typedef pthread_cond_t signal_type;
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_INIT PTHREAD_COND_INITIALIZER
#define lock(l) pthread_mutex_lock(l)
#define try_lock(l) (pthread_mutex_trylock(l) == 0)
#define unlock(l) pthread_mutex_unlock(l)
#define sleep_on(s, l) pthread_cond_wait(s, l)
#define wake_all(s) pthread_cond_broadcast(s)

#else
#define FL_SERIAL
#endif

#ifndef FL_SERIAL

static struct {
    lock_type gate; /* held by the caller whose region runs */
    lock_type lock; /* guards all below */
    signal_type region_opened, worker_left;
    int started;     /* workers there are */
    int wanted;      /* workers the region may use */
    int inside;      /* workers at work in the region */
    unsigned region; /* counts regions, so that a worker knows a new one */
    ptrdiff_t next, count; /* next == count: nothing left, the region is closed */
    fl_task *task;
    void *context;
} pool = {.gate = LOCK_INIT, .lock = LOCK_INIT, .region_opened = SIGNAL_INIT, .worker_left = SIGNAL_INIT};

/* Takes tasks until there are none. Called and left with the lock held. */
static void work_off(int thread)
{
    while (pool.next < pool.count) {
        const ptrdiff_t i = pool.next++;
        fl_task *const task = pool.task;
        void *const context = pool.context;
        unlock(&pool.lock);
        task(context, i, thread);
        lock(&pool.lock);
    }
}

static void worker(int number)
{
    unsigned seen = 0;
    lock(&pool.lock);
    for (;;) {
        while (pool.region == seen || number >= pool.wanted || pool.next >= pool.count) {
            seen = pool.region;
            sleep_on(&pool.region_opened, &pool.lock);
        }
        seen = pool.region;
        pool.inside++;
        work_off(number + 1);
        if (--pool.inside == 0)
            wake_all(&pool.worker_left);
    }
}

#if defined(_WIN32)

static DWORD WINAPI worker_main(void *number)
{
    worker((int)(intptr_t)number);
    return 0;
}

static int start_worker(int number)
{
    HANDLE thread = CreateThread(NULL, 0, worker_main, (void *)(intptr_t)number, 0, NULL);
    if (!thread)
        return 0;
    CloseHandle(thread);
    return 1;
}

#else

static void *worker_main(void *number)
{
    worker((int)(intptr_t)number);
    return NULL;
}

/* A child of fork has one thread and whatever state the locks were in: both are taken before and made new after. */
static void before_fork(void)
{
    lock(&pool.gate);
    lock(&pool.lock);
}

static void after_fork_in_parent(void)
{
    unlock(&pool.lock);
    unlock(&pool.gate);
}

static void after_fork_in_child(void)
{
    pthread_mutex_init(&pool.gate, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.region_opened, NULL);
    pthread_cond_init(&pool.worker_left, NULL);
    pool.started = pool.inside = 0;
}

static int start_worker(int number)
{
    static int handlers;
    pthread_t thread;
    sigset_t all, old;
    if (!handlers) {
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child))
            return 0;
        handlers = 1;
    }
    /* signals are for the threads of the host, never for ours */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int failed = pthread_create(&thread, NULL, worker_main, (void *)(intptr_t)number);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return 0;
    pthread_detach(thread);
    return 1;
}

#endif
#endif

static void run_alone(ptrdiff_t count, fl_task *task, void *context)
{
    for (ptrdiff_t i = 0; i < count; i++)
        task(context, i, 0);
}

void fl_parallel(int threads, ptrdiff_t count, fl_task *task, void *context)
{
#ifdef FL_SERIAL
    (void)threads;
    run_alone(count, task, context);
#else
    if (threads <= 1 || count <= 1 || !try_lock(&pool.gate)) {
        run_alone(count, task, context);
        return;
    }
    lock(&pool.lock);
    pool.wanted = threads - 1 < WORKERS ? threads - 1 : WORKERS;
    if (pool.wanted > count - 1)
        pool.wanted = (int)(count - 1);
    while (pool.started < pool.wanted && start_worker(pool.started))
        pool.started++;
    pool.task = task;
    pool.context = context;
    pool.next = 0;
    pool.count = count;
    pool.region++;
    wake_all(&pool.region_opened);
    work_off(0);
    while (pool.inside)
        sleep_on(&pool.worker_left, &pool.lock);
    unlock(&pool.lock);
    unlock(&pool.gate);
#endif
}
