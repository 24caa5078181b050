//! Whose turn it is. Time is tokio's paused clock, so nothing here waits.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rejoinder_access::{Fair, FairOptions, LimitsConfig, Load};
use rejoinder_domain::{ErrorKind, TenantId};
use tokio::task::{JoinSet, yield_now};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn options(places: usize, of_a_tenant: usize, queue: usize) -> FairOptions {
    let limits = format!(r#"{{"default": {{"concurrent_requests": {of_a_tenant}, "queue_length": {queue}}}}}"#);
    FairOptions {
        places: NonZeroUsize::new(places).unwrap(),
        longest_wait: Duration::from_secs(30),
        limits: Arc::new(serde_json::from_str::<LimitsConfig>(&limits).unwrap()),
    }
}

async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_places_in_all_and_for_each() {
    let fair = Fair::new(options(3, 2, 0));
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let first = fair.enter(&acme).await.unwrap();
    let second = fair.enter(&acme).await.unwrap();
    let busy = fair.enter(&acme).await.unwrap_err();
    assert!(busy.retry_after >= Duration::from_secs(1) && busy.retry_after <= Duration::from_mins(1));
    assert!(matches!(busy.kind(), ErrorKind::RateLimited { retry_after: Some(_) }));
    let third = fair.enter(&beta).await.unwrap();
    assert!(fair.enter(&beta).await.is_err(), "all three are taken");
    assert_eq!(fair.load(), Load { running: 3, waiting: 0, tenants: 2 });
    drop(first);
    let fourth = fair.enter(&beta).await.unwrap();
    drop((second, third, fourth));
    assert_eq!(fair.load(), Load::default(), "idle tenants are forgotten");
}

#[tokio::test(start_paused = true)]
async fn who_had_the_least_lately_comes_first() {
    let fair = Fair::new(options(1, 1000, 1000));
    let (flood, calm, second) = (tenant("flood"), tenant("calm"), tenant("second"));
    let work = |tenant: TenantId, seconds: u64| {
        let fair = fair.clone();
        async move {
            let permit = fair.enter(&tenant).await.unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            drop(permit);
        }
    };
    work(flood.clone(), 8).await;
    work(calm.clone(), 1).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = fair.enter(&tenant("gate")).await.unwrap();
    let mut tasks = JoinSet::new();
    for name in ["flood", "flood", "calm", "calm", "calm", "second"] {
        let (fair, order) = (fair.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            let permit = fair.enter(&tenant(name)).await.unwrap();
            order.lock().unwrap().push(name);
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(permit);
        });
        settle().await;
    }
    drop(gate);
    while tasks.join_next().await.is_some() {}
    assert_eq!(*order.lock().unwrap(), ["second", "calm", "calm", "calm", "flood", "flood"]);
    // What is long ago counts for nothing, and takes no memory.
    tokio::time::sleep(Duration::from_mins(10)).await;
    for _ in 0..300 {
        work(second.clone(), 0).await;
    }
    assert_eq!(fair.load(), Load::default());
    drop((flood, calm));
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_however_many_requests_one_has() {
    let fair = Fair::new(options(1, 1000, 1000));
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = fair.enter(&tenant("gate")).await.unwrap();
    let mut tasks = JoinSet::new();
    let queue = [("flood", 100), ("calm", 3), ("other", 2)];
    for (name, requests) in queue {
        for _ in 0..requests {
            let (fair, order) = (fair.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let permit = fair.enter(&tenant(name)).await.unwrap();
                order.lock().unwrap().push(name);
                yield_now().await;
                drop(permit);
            });
        }
        // Those of the flood are all there before anybody else comes.
        settle().await;
    }
    assert_eq!(fair.load().waiting, 105);
    assert_eq!(fair.load_of(&tenant("flood")), Load { running: 0, waiting: 100, tenants: 1 });
    drop(gate);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let order = order.lock().unwrap();
    let start = ["flood", "calm", "other", "flood", "calm", "other", "flood", "calm", "flood", "flood"];
    assert_eq!(order[..10], start);
    assert_eq!(order.len(), 105);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_at_its_own_limit_keeps_nobody_else_waiting() {
    let fair = Fair::new(options(4, 2, 10));
    let (flood, calm) = (tenant("flood"), tenant("calm"));
    let held = (fair.enter(&flood).await.unwrap(), fair.enter(&flood).await.unwrap());
    let waiting = tokio::spawn({
        let (fair, flood) = (fair.clone(), flood.clone());
        async move { fair.enter(&flood).await.unwrap() }
    });
    settle().await;
    assert_eq!(fair.load(), Load { running: 2, waiting: 1, tenants: 1 });
    let permits = (fair.enter(&calm).await.unwrap(), fair.enter(&calm).await.unwrap());
    drop(permits);
    settle().await;
    assert!(!waiting.is_finished());
    drop(held.0);
    let permit = waiting.await.unwrap();
    assert_eq!(fair.load_of(&flood).running, 2);
    drop((permit, held.1));
    assert_eq!(fair.load(), Load::default());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_queue_and_a_wait_is_bounded() {
    let fair = Fair::new(options(1, 1, 2));
    let acme = tenant("acme");
    let held = fair.enter(&acme).await.unwrap();
    let wait = || {
        let (fair, acme) = (fair.clone(), acme.clone());
        tokio::spawn(async move { fair.enter(&acme).await.map(drop) })
    };
    let (first, second) = (wait(), wait());
    settle().await;
    assert!(fair.enter(&acme).await.is_err(), "the queue is full");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(fair.load_of(&acme).waiting, 1);
    let third = wait();
    settle().await;
    assert_eq!(fair.load_of(&acme).waiting, 2, "there is room again");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(second.await.unwrap().is_err() && third.await.unwrap().is_err(), "nobody waits for ever");
    assert_eq!(fair.load_of(&acme).waiting, 0);
    drop(held);
    assert!(fair.enter(&acme).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn new_limits_hold_for_those_who_wait() {
    let fair = Fair::new(options(2, 1, 10));
    let acme = tenant("acme");
    let held = fair.enter(&acme).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let (fair, acme) = (fair.clone(), acme.clone());
        tasks.spawn(async move { fair.enter(&acme).await.unwrap() });
    }
    settle().await;
    assert_eq!(fair.load(), Load { running: 1, waiting: 3, tenants: 1 });
    fair.reconfigure(options(3, 3, 10));
    let two = (tasks.join_next().await.unwrap().unwrap(), tasks.join_next().await.unwrap().unwrap());
    assert_eq!(fair.load(), Load { running: 3, waiting: 1, tenants: 1 });
    fair.reconfigure(options(1, 1, 10));
    drop(held);
    drop(two.0);
    settle().await;
    assert_eq!(
        fair.load(),
        Load { running: 1, waiting: 1, tenants: 1 },
        "who has a place keeps it; no new ones above the limit"
    );
    drop(two.1);
    drop(tasks.join_next().await.unwrap().unwrap());
    assert_eq!(fair.load(), Load::default());
}

/// Thousands of requests of some tenants on several threads; a third gives up, waiting or working or just when the place
/// comes. At every moment the bounds hold, and at the end every place is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_under_random_cancellation() {
    const PLACES: usize = 7;
    const OF_A_TENANT: usize = 3;
    let fair = Fair::new(options(PLACES, OF_A_TENANT, 40));
    let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..=5).map(|_| AtomicUsize::new(0)).collect());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut done, mut busy, mut gone) = (0, 0, 0);
    for _ in 0..60 {
        let mut tasks = Vec::new();
        for _ in 0..120 {
            let (fair, counts) = (fair.clone(), Arc::clone(&counts));
            let (who, steps) = (next() as usize % 5, next() % 6);
            tasks.push(tokio::spawn(async move {
                let Ok(permit) = fair.enter(&tenant(&format!("t{who}"))).await else { return false };
                let held = Held::new(&counts, who);
                assert!(held.of_tenant <= OF_A_TENANT && held.all <= PLACES, "{} {}", held.of_tenant, held.all);
                for _ in 0..steps {
                    yield_now().await;
                }
                drop(held);
                drop(permit);
                true
            }));
        }
        for _ in 0..next() % 200 {
            yield_now().await;
        }
        tasks.iter().filter(|_| next() % 3 == 0).for_each(tokio::task::JoinHandle::abort);
        for task in tasks {
            match task.await {
                Ok(true) => done += 1,
                Ok(false) => busy += 1,
                Err(error) => {
                    assert!(error.is_cancelled(), "{error}");
                    gone += 1;
                }
            }
        }
        assert_eq!(fair.load(), Load::default());
    }
    assert!(done > 1000 && gone > 500, "{done} done, {busy} turned away, {gone} given up");
    let mut permits = Vec::new();
    for place in 0..PLACES {
        permits.push(fair.enter(&tenant(&format!("t{}", place / OF_A_TENANT))).await.unwrap());
    }
    assert_eq!(fair.load().running, PLACES, "every place can still be had");
}

/// Counts who is inside, from outside of what is tested; also when the task is aborted inside.
struct Held<'a> {
    counts: &'a [AtomicUsize],
    who: usize,
    of_tenant: usize,
    all: usize,
}

impl<'a> Held<'a> {
    fn new(counts: &'a [AtomicUsize], who: usize) -> Self {
        let of_tenant = counts[who].fetch_add(1, Ordering::SeqCst) + 1;
        let all = counts[5].fetch_add(1, Ordering::SeqCst) + 1;
        Self { counts, who, of_tenant, all }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.counts[5].fetch_sub(1, Ordering::SeqCst);
        self.counts[self.who].fetch_sub(1, Ordering::SeqCst);
    }
}
