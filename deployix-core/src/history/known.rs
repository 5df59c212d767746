//! [`Known`]: how much of a log a handle knows, and how it learns more.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Entry, Heads, HistoryError, Record,
    chance::chance,
    checkpoint,
    crowd::Crowd,
    entry::{self, Read},
    reach::Reach,
    shelf::{Previous, Put, Shelf},
    undo::Undo,
};
use crate::digest::Digest;

/// What a handle knows of a log. Whoever only appends needs no more than its end.
#[derive(Debug)]
pub(super) struct Known {
    /// The newest entry known of; 0 where there is none.
    position: u64,
    /// The digest of that entry.
    last: Option<Digest>,
    /// What stands after it, once somebody wanted to know.
    heads: Option<Heads>,
    /// What the heads hold beyond that entry, while it is being written.
    undo: Option<Undo>,
    checkpoints: checkpoint::Due,
    reach: Reach,
    crowd: Crowd,
    /// How long to let others try next.
    turn: Option<Duration>,
    /// What tells this handle from others.
    writer: u32,
}

/// How an attempt to append ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// All is written; this is the newest generation.
    Done(u64),
    /// Somebody else was faster; worth another attempt after a while.
    Lost(Duration),
    /// What stands is newer than what was looked at.
    Stale,
}

impl Known {
    /// Finds the end of a log.
    pub(super) async fn open(shelf: &Shelf) -> Result<Self, HistoryError> {
        let checkpoint = shelf.list_checkpoints(0).await?.last().copied();
        let position = checkpoint.map_or(0, |checkpoint| checkpoint.position);
        let mut reach = Reach::default();
        // The checkpoint's own entry proves that the log was not taken away.
        let end = reach.newest(shelf, position).await?;
        if position > 0 && shelf.size(&shelf.log(position)).await?.is_none() {
            return Err(HistoryError::Missing {
                path: shelf.log(position).to_string(),
                because: format!("{} was written after it", shelf.checkpoint(position)),
            });
        }
        let checkpoints = checkpoint::Due::new(checkpoint);
        let mut known = Self {
            position: 0,
            last: None,
            heads: None,
            undo: None,
            checkpoints,
            reach,
            crowd: Crowd::default(),
            turn: None,
            writer: (chance() >> 32) as u32,
        };
        known.jump(shelf, end).await?;
        Ok(known)
    }

    /// Knows of an entry that is there, without what comes before it.
    async fn jump(&mut self, shelf: &Shelf, position: u64) -> Result<(), HistoryError> {
        if position > self.position {
            let read = shelf.entries(position..=position, Previous::Unknown).await?;
            self.position = position;
            if let [read] = &read[..] {
                self.last = Some(read.digest);
                self.crowd.saw(read.writer);
            }
        }
        Ok(())
    }

    /// The newest entry known of.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What stands after the newest entry known of.
    pub(super) async fn heads(&mut self, shelf: &Shelf) -> Result<&mut Heads, HistoryError> {
        self.take_back();
        if self.heads.is_none() {
            let checkpoint = self.checkpoints.newest();
            let (mut heads, last) = checkpoint::read(shelf, checkpoint).await?;
            if heads.generation == self.position && last != self.last {
                let why = format!("it is not of the {} that is there", shelf.log(self.position));
                let path = shelf.checkpoint(self.position);
                return Err(HistoryError::damaged(&path, why));
            }
            let positions = heads.generation + 1..=self.position;
            for read in shelf.entries(positions, Previous::Known(last)).await? {
                self.checkpoints.passed(read.entry.position, read.bytes.len());
                heads.replay(&read.entry);
            }
            self.heads = Some(heads);
        }
        Ok(self.heads.get_or_insert_default())
    }

    /// Learns what others appended. Tells whether they did.
    pub(super) async fn catch_up(
        &mut self,
        shelf: &Shelf,
        lost: bool,
    ) -> Result<bool, HistoryError> {
        self.take_back();
        let before = self.position;
        // Mostly there is nothing, or one entry; whoever lost a race waited meanwhile.
        for _ in 0..if lost { 0 } else { 2 } {
            match self.reach.entry(shelf, self.position + 1).await? {
                Some(read) => self.take(shelf, &read)?,
                None => return Ok(self.position > before),
            }
        }
        let end = self.reach.end(shelf, self.position).await?;
        if end == self.position {
            return Ok(end > before);
        }
        if self.heads.is_none() {
            self.jump(shelf, end).await?;
        } else {
            let previous = Previous::Known(self.last);
            for read in shelf.entries(self.position + 1..=end, previous).await? {
                self.take(shelf, &read)?;
            }
        }
        Ok(true)
    }

    /// Knows of the next entry.
    fn take(&mut self, shelf: &Shelf, read: &Read) -> Result<(), HistoryError> {
        shelf.follows(read, Previous::Known(self.last), false)?;
        if let Some(heads) = &mut self.heads {
            heads.replay(&read.entry);
            self.checkpoints.passed(read.entry.position, read.bytes.len());
        }
        self.position = read.entry.position;
        self.last = Some(read.digest);
        self.crowd.saw(read.writer);
        Ok(())
    }

    /// Takes back what the heads hold beyond the newest entry.
    fn take_back(&mut self) {
        if let (Some(undo), Some(heads)) = (self.undo.take(), &mut self.heads) {
            undo.undo(heads);
        }
    }

    /// Tries to append at the next position what is proposed, each on what stands after the ones
    /// before it.
    pub(super) async fn append<'p, P>(
        &mut self,
        shelf: &Shelf,
        guarded: bool,
        proposals: P,
    ) -> Result<Attempt, HistoryError>
    where
        P: Iterator<Item = &'p mut dyn Propose>,
    {
        self.take_back();
        if guarded {
            self.heads(shelf).await?;
        }
        let (position, at) = (self.position + 1, now());
        let mut entry = Entry { position, at, records: Vec::new() };
        if let Some(heads) = &self.heads {
            self.undo = Some(Undo::new(heads));
        }
        for proposal in proposals {
            let records = proposal.propose(self.heads.as_ref());
            let part = Entry { position, at, records };
            if let (Some(undo), Some(heads), [_, ..]) =
                (&mut self.undo, &mut self.heads, &part.records[..])
            {
                undo.replay(heads, &part);
            }
            entry.records.extend(part.records);
        }
        if entry.records.is_empty() {
            let stale = self.catch_up(shelf, false).await?;
            return Ok(if stale { Attempt::Stale } else { Attempt::Done(self.position) });
        }
        let path = shelf.log(position);
        let bytes = entry::encode(&path, &shelf.deployment, self.writer, self.last, &entry)?;
        if self.put(shelf, position, &bytes).await? {
            self.turn = self.crowd.won(self.reach.write());
            self.undo = None;
            self.position = position;
            self.last = Some(Digest::of_bytes(&bytes));
            if self.heads.is_some() {
                self.checkpoints.passed(position, bytes.len());
            }
            Ok(Attempt::Done(position))
        } else {
            Ok(Attempt::Lost(self.crowd.lost(self.reach.write())))
        }
    }

    /// Puts an entry. Tells whether it is there; else somebody else's is, and known of.
    ///
    /// A store, or what is between, may fail and have put it all the same, also where it tries again
    /// by itself and then finds what it put before. So whatever it says but yes, what stands there
    /// is looked at.
    async fn put(
        &mut self,
        shelf: &Shelf,
        position: u64,
        bytes: &Bytes,
    ) -> Result<bool, HistoryError> {
        const TRIES: u32 = 4;
        let path = shelf.log(position);
        let mut tries = 0;
        loop {
            let error = match self.reach.put(shelf, &path, bytes.clone()).await {
                Ok(Put::Done) => return Ok(true),
                Ok(Put::Taken) => None,
                Err(error) => Some(error),
            };
            let read = self.reach.entry(shelf, position).await;
            match (read, error) {
                (Ok(Some(read)), _) if read.bytes == *bytes => return Ok(true),
                (Ok(Some(read)), _) => {
                    self.take_back();
                    self.take(shelf, &read)?;
                    return Ok(false);
                }
                (Err(error @ HistoryError::Damaged { .. }), _)
                | (Err(error @ HistoryError::Newer { .. }), _) => return Err(error),
                (_, Some(error)) if tries == TRIES || error.is_final() => return Err(error),
                (Err(error), None) if tries == TRIES => return Err(error),
                // Taken and then gone, which nobody does but by hand.
                (Ok(None), None) if tries == TRIES => {
                    let because = "it was there a moment ago".to_owned();
                    return Err(HistoryError::Missing { path: path.to_string(), because });
                }
                _ => {}
            }
            tries += 1;
            self.reach.wait(tries).await;
        }
    }

    /// Does what can be done once everybody was told: writes a checkpoint where one is due. Tells how
    /// long to let others try.
    pub(super) async fn settle(&mut self, shelf: &Shelf) -> Option<Duration> {
        self.take_back();
        if let (true, Some(heads), Some(last)) = (self.checkpoints.is_due(), &self.heads, self.last)
        {
            // It is written when the next entry is, then: all can be read without it.
            let _ = self.checkpoints.write(shelf, heads, last).await;
        }
        self.turn.take()
    }
}

/// What proposes records.
pub(super) trait Propose {
    /// What is to be appended, on what stands where that is known.
    fn propose(&mut self, heads: Option<&Heads>) -> Vec<Record>;
}

/// The clock, no finer than people read it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
