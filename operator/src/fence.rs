//! Keeps who no longer leads from writing. A process that was stopped for a
//! while, or a thread that slept, finds out about it only after others have
//! woken up as well; the time that a lease was renewed for is known before that.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request};
use tokio::time::Instant;

/// Until when this replica may write.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Mutex<Until>>);

#[derive(Clone, Copy, Debug)]
enum Until {
    /// There is one replica alone.
    Always,
    /// Another one may lead from then on.
    Then(Instant),
}

/// This replica no longer leads.
#[derive(Debug, thiserror::Error)]
#[error("the lease was not renewed in time: another replica may lead")]
pub struct NotLeading;

impl Default for Fence {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Until::Always)))
    }
}

impl Fence {
    /// Lets writes pass until then.
    pub fn open_until(&self, then: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Until::Then(then);
    }

    /// Lets no write pass.
    pub fn close(&self) {
        self.open_until(Instant::now());
    }

    /// Whether a request may be sent: reading harms nobody, and the lease itself
    /// is written under a condition.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), NotLeading> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        if is_read || request.uri().path().contains("/coordination.k8s.io/") {
            return Ok(());
        }
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match until {
            Until::Then(then) if then <= Instant::now() => Err(NotLeading),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn writes_pass_while_the_lease_is_held_and_the_lease_always() {
        let secret = "/api/v1/namespaces/partners/secrets/acme";
        let lease = "/apis/coordination.k8s.io/v1/namespaces/home/leases/operator";
        let fence = Fence::default();
        let may = |method: &str, path: &str| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(())
                .unwrap();
            fence.check(&request).is_ok()
        };
        assert!(may("PATCH", secret), "nobody else is there");
        fence.open_until(Instant::now() + Duration::from_secs(8));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(may("PATCH", secret));
        tokio::time::advance(Duration::from_secs(1)).await;
        for method in ["POST", "PATCH", "PUT", "DELETE"] {
            assert!(!may(method, secret), "{method}");
        }
        assert!(may("GET", secret) && may("PUT", lease));
        fence.open_until(Instant::now() + Duration::from_secs(8));
        assert!(may("POST", secret));
        fence.close();
        assert!(!may("POST", secret));
    }
}
