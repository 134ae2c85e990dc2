//! A provider that goes and comes back, behind a circuit that its queue and its calls have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::WithdrawalId;
use domain::job::Queue;
use domain::jobs::payment::StartPayout;
use queue::{Circuit, CircuitPolicy, Handler, JobContext, JobError, Outcome, Producer, Worker, admin};
use testkit::{Redis, eventually_true};
use tokio_util::sync::CancellationToken;

const JOBS: u64 = 60;

#[derive(Clone, Default)]
struct Provider {
    up: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

struct Caller {
    circuit: Circuit,
    provider: Provider,
}

impl Handler<StartPayout> for Caller {
    async fn handle(&self, _job: StartPayout, _context: JobContext) -> Outcome {
        let ask = async {
            self.provider.asked.fetch_add(1, Ordering::Relaxed);
            if self.provider.up.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err(JobError::RetryAfter(Duration::from_millis(10), anyhow::anyhow!("the provider is down")))
            }
        };
        self.circuit.guard(ask).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_the_queue_lets_through_is_the_one_that_asks_the_provider() {
    let redis = Redis::start();
    let provider = Provider::default();
    let policy = CircuitPolicy {
        failures: 3,
        percent: 50,
        window: Duration::from_secs(10),
        // Longer than a loop needs to ask for a probe again, as in production: a probe that nobody uses is never seen by a call.
        open_for: Duration::from_secs(2),
    };
    let shutdown = CancellationToken::new();
    // Two replicas, each with a circuit of its own.
    let replicas: Vec<_> = (0..2)
        .map(|_| {
            let kv = testkit::kv(&redis.url());
            let circuit = Circuit::new(kv.clone(), "provider", policy);
            let caller = Caller { circuit: circuit.clone(), provider: provider.clone() };
            let worker = Worker::builder(kv, "test")
                .queue(Queue::Payments, 16)
                .circuit(Queue::Payments, circuit)
                .register(caller);
            tokio::spawn(worker.build().unwrap().run(shutdown.clone()))
        })
        .collect();
    let kv = testkit::kv(&redis.url());
    let jobs: Vec<_> = (0..JOBS).map(|_| StartPayout { withdrawal_id: WithdrawalId::generate() }).collect();
    Producer::new(kv.clone()).enqueue_many(&jobs).await.unwrap();
    eventually_true("the circuit opens", Duration::from_secs(10), async || provider.asked.load(Ordering::Relaxed) >= 3)
        .await;

    provider.up.store(true, Ordering::Relaxed);
    eventually_true("all are done soon after the provider came back", Duration::from_secs(10), async || {
        admin::stats(&kv, Queue::Payments).await.unwrap().counts.get("done") == Some(&JOBS)
    })
    .await;
    shutdown.cancel();
    for replica in replicas {
        replica.await.unwrap().unwrap();
    }
}
