//! Polling meters that must be asked, round after round.

use crate::meter::WireReading;
use crate::port::DecodeError;
use crate::port::task::{Closed, Decoder, Task};
use crate::source::wire::Wire;
use crate::status::receiver::Condition;
use metertap_decode::report::Report;
use tokio::time::{Instant, sleep};

impl Task {
    /// Polls until the connection is lost, or until so many rounds went unanswered that it must be opened anew.
    pub(super) async fn poll(&mut self, mut wire: Wire) -> Closed {
        loop {
            let Decoder::Poll(poller) = &mut self.decoder else {
                return Closed::EndOfRecording;
            };
            let answers = match poller.round(&mut wire).await {
                Ok(answers) => answers,
                Err(disconnected) => {
                    return Closed::Disconnected(format!("{}: {disconnected}", self.address));
                }
            };
            let (pause, is_lost, is_silent) = (poller.pause(), poller.is_lost(), poller.is_silent());
            let complaint = self.take_answers(answers, is_silent).await;
            sleep(pause).await;
            // A dead TCP connection does not report itself: after some rounds without an answer it is opened anew.
            if let (true, Some(complaint)) = (is_lost, complaint) {
                return Closed::Silent(complaint);
            }
        }
    }

    /// Publishes the answers of a round; returns the reason of the stalled port if there was none. A port that was up stays
    /// so until its meters are silent: one round that fails is an error, several are a condition.
    async fn take_answers(
        &mut self,
        answers: Vec<Result<Report, DecodeError>>,
        is_silent: bool,
    ) -> Option<String> {
        let (mut readings, mut complaint) = (Vec::new(), None);
        let now = Instant::now().into_std();
        for answer in answers {
            match answer {
                Ok(report) => {
                    let received = self.clock.timestamp();
                    readings.push(WireReading::new(self.name.clone(), report, received));
                }
                Err(error) => {
                    self.errors.count(&self.name, &error, now);
                    complaint = Some(error.text);
                }
            }
        }
        if readings.is_empty() {
            self.last_telegram.set_counters(&self.errors.counters);
            let (condition, reason) = match self.state.state {
                Condition::Up if !is_silent => (Condition::Up, None),
                // The next error of several that take turns is no change.
                Condition::Stalled => (Condition::Stalled, self.state.reason.clone()),
                _ => (Condition::Stalled, complaint),
            };
            self.set_condition(condition, reason.clone()).await;
            return reason;
        }
        self.publish(readings).await;
        None
    }
}
