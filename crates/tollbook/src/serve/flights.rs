//! The data plane's streams on their way, for sockets of the API.

use std::sync::{Arc, OnceLock};
use tollbook_api::live::{Flights, Running};
use tollbook_gateway::Flight;
use tollbook_usage::estimate::estimate_by_bytes;

/// The streams, from when the data plane runs.
pub fn of(flights: Arc<OnceLock<Arc<tollbook_gateway::Flights>>>) -> Arc<dyn Flights> {
    Arc::new(Gateway(flights))
}

struct Gateway(Arc<OnceLock<Arc<tollbook_gateway::Flights>>>);

impl Flights for Gateway {
    fn each(&self, see: &mut dyn FnMut(&Running) -> bool) {
        let Some(flights) = self.0.get() else { return };
        for flight in flights.all() {
            if see(&running(&flight)) {
                flight.ask();
            }
        }
    }
}

fn running(flight: &Flight) -> Running {
    Running {
        id: flight.id.to_string(),
        at: flight.at,
        provider: flight.provider.clone(),
        model: flight.model.clone(),
        attribution: flight.attribution.clone(),
        output_tokens_estimate: flight.output_tokens(),
        estimator: estimate_by_bytes(&flight.model, 0).1,
        answer_bytes: flight.bytes(),
    }
}
