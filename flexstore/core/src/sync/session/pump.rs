//! What goes out, and when: records within the window, questions, rounds of the reconciliation.

use bytes::Bytes;

use super::{
    Context, Ended, MAX_LIVE_QUEUE, MAX_WANTED, Outgoing, Phase, RECORDS_BYTES, Session,
    WINDOW_BYTES,
};
use crate::Digest;
use crate::sync::event::Output;
use crate::wire::{MAX_LISTED, Message};

impl Session {
    /// Sends whatever may be sent now.
    pub(in crate::sync) fn pump(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        if !self.is_open() {
            return Ok(());
        }
        self.pump_records(cx)?;
        while !self.to_want.is_empty() && self.wanted.len() < MAX_WANTED {
            let room = (MAX_WANTED - self.wanted.len())
                .min(MAX_LISTED)
                .min(self.to_want.len());
            let mut list: Vec<Digest> = self.to_want.drain(..room).collect();
            list.retain(|digest| self.wanted.insert(*digest));
            if !list.is_empty() {
                cx.send(self.id, Message::Want(list));
            }
        }
        // The next round waits until this one's finds are under way, so that they do not pile up.
        if self.to_want.len() < MAX_WANTED
            && self.outgoing.len() < MAX_LIVE_QUEUE
            && let Some(query) = self.next_query.take()
        {
            cx.send(self.id, Message::Reconcile(query.into()));
        }
        let settled = self.mark.is_some_and(|mark| self.acknowledged >= mark);
        if self.phase == Phase::Transferring
            && settled
            && self.wanted.is_empty()
            && self.to_want.is_empty()
        {
            self.mark = None;
            cx.send(self.id, Message::Reconciled);
            self.live(cx);
        }
        if self.overflowed && self.is_live() && self.outgoing.is_empty() {
            self.overflowed = false;
            if self.opener {
                self.reconcile(cx)
            } else {
                self.welcome(cx)
            }
        }
        self.show(cx);
        Ok(())
    }

    fn pump_records(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let mut texts: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.outgoing.front() {
            let text = match next {
                Outgoing::Offer(_) | Outgoing::Asked(_) | Outgoing::Wanted(_)
                    if self.in_flight >= WINDOW_BYTES =>
                {
                    break;
                }
                Outgoing::Told(_) | Outgoing::Mark => None,
                Outgoing::Offer(digest) | Outgoing::Asked(digest) | Outgoing::Wanted(digest) => {
                    match cx.register.resting(digest)? {
                        Some(_) => None,
                        None => cx.register.sent(digest)?,
                    }
                }
            };
            if bytes + text.as_ref().map_or(0, Bytes::len) > RECORDS_BYTES
                || texts.len() == MAX_LISTED
            {
                self.flush(&mut texts, &mut bytes, cx);
            }
            let next = self.outgoing.pop_front();
            if matches!(
                next,
                Some(Outgoing::Asked(_) | Outgoing::Wanted(_) | Outgoing::Told(_))
            ) {
                self.asked -= 1;
            }
            match (next, text) {
                (Some(Outgoing::Told(id)), _) => {
                    self.words -= 1;
                    self.flush(&mut texts, &mut bytes, cx);
                    cx.send(self.id, Message::Told(id));
                }
                (Some(Outgoing::Mark), _) => {
                    self.words -= 1;
                    self.mark = Some(self.sent);
                }
                (Some(Outgoing::Offer(digest) | Outgoing::Wanted(digest)), _)
                    if self.crossed.get(&digest) == Some(&true) => {}
                (next, Some(text)) => {
                    if let Some(Outgoing::Offer(digest)) = next
                        && let Some(crossed) = self.crossed.get_mut(&digest)
                    {
                        *crossed = true;
                    }
                    self.sent += 1;
                    self.transfer.sent += 1;
                    self.transfer.sent_bytes += text.len() as u64;
                    self.in_flight += text.len();
                    self.unacknowledged.push_back(text.len());
                    bytes += text.len();
                    texts.push(text);
                }
                (Some(Outgoing::Wanted(digest)), None) => {
                    let message = match cx.register.resting(&digest)? {
                        Some(resting) => Message::Gone {
                            digest,
                            successor: resting.successor,
                        },
                        None => Message::Absent(digest),
                    };
                    cx.send(self.id, message);
                }
                _ => {}
            }
        }
        self.flush(&mut texts, &mut bytes, cx);
        Ok(())
    }

    fn flush(&self, texts: &mut Vec<Bytes>, bytes: &mut usize, cx: &mut Context<'_>) {
        *bytes = 0;
        if !texts.is_empty() {
            cx.send(self.id, Message::Records(std::mem::take(texts)));
        }
    }

    fn show(&mut self, cx: &mut Context<'_>) {
        self.transfer.to_send = self.sent + (self.outgoing.len() - self.words) as u64;
        self.transfer.to_receive = self.received + (self.wanted.len() + self.to_want.len()) as u64;
        if self.transfer != self.shown {
            self.shown = self.transfer;
            cx.outputs.push_back(Output::Progress {
                session: self.id,
                transfer: self.transfer,
            });
        }
    }
}
