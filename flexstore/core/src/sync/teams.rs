//! Collections of Team records.
//!
//! In that of the js profile all records of a team stay, and those in force count. To the JavaScript original it is a mutable collection, and shows the last record in force. But
//! which ones are can only be told by all of them, so nothing displaces here.

use super::event::{Origin, Ticket};
use super::replica::{Effect, Replica};
use super::taking::Admitted;
use crate::authority::{Standing, pin};
use crate::register::Row;
use crate::storage::StorageError;
use crate::{Digest, KeyTag, Verified};

impl Replica {
    /// Of a collection of Team records: notes that a record of a team is in force, whatever
    /// others come. Under the js profile it is named by the hash of its text. Other collections
    /// learn of it by [`Input::TeamsChanged`](super::Input::TeamsChanged).
    pub fn pin(&mut self, team: &KeyTag, record: &Digest) -> Ticket {
        pin(&mut self.work.batch, team, record);
        self.note_team_change(team);
        if self.register.id().is_javascript_team() {
            // Where the store does not answer, the rows stand as they did.
            let _ = self.judge_team(team, record);
        }
        let ticket = Ticket(self.number());
        self.work.effects.push(Effect::Written(ticket));
        ticket
    }

    pub(super) fn note_team_change(&mut self, team: &KeyTag) {
        let id = self.register.id();
        self.judging.next.tell(&mut self.work.batch, id, team);
    }

    pub(super) fn admit_team(
        &mut self,
        record: &Verified,
        origin: Origin,
    ) -> Result<Admitted, StorageError> {
        let header = record.header();
        let row = Row::of(record, Standing::Unjudged);
        let mut rows = self.register.group(&header.tag, &header.owner)?;
        if let Some(there) = rows.iter().find(|there| there.stamp == row.stamp) {
            if there.archived {
                self.register.put(&mut self.work.batch, there, record);
                self.work.touched.insert(row.tag);
            }
            return Ok(Admitted::Known);
        }
        rows.push(row);
        let pin = self.authority.pin_of(&header.owner)?;
        let standings = self.standings(&rows, Some(record), pin)?;
        for (row, standing) in rows.into_iter().zip(standings) {
            let (new, changed) = (row.stamp == record.stamp(), row.standing != standing);
            let row = Row { standing, ..row };
            if new {
                self.register.put(&mut self.work.batch, &row, record);
                self.work.effects.push(Effect::Joined(row, origin));
            } else if changed {
                self.restand(row);
            }
        }
        self.work.touched.insert(header.tag.clone());
        self.note_team_change(&header.owner);
        Ok(Admitted::New)
    }

    /// Judges a team's records anew, after a pin.
    pub(super) fn judge_team(&mut self, team: &KeyTag, pin: &Digest) -> Result<(), StorageError> {
        self.before(&team.tag())?;
        let rows = self.register.group(&team.tag(), team)?;
        let standings = self.standings(&rows, None, Some(*pin))?;
        for (row, standing) in rows.into_iter().zip(standings) {
            if row.standing != standing {
                self.restand(Row { standing, ..row });
            }
        }
        self.work.touched.insert(team.tag());
        Ok(())
    }

    fn restand(&mut self, row: Row) {
        self.register.put_row(&mut self.work.batch, &row);
        self.work.effects.push(Effect::Restands(row));
    }

    /// Those in force count; the others do not. Where nobody can tell, none is judged.
    fn standings(
        &mut self,
        rows: &[Row],
        newcomer: Option<&Verified>,
        pin: Option<Digest>,
    ) -> Result<Vec<Standing>, StorageError> {
        let Some(teams) = self.authority.javascript() else {
            return Err(StorageError::Damaged);
        };
        // A pin of the native team says nothing of these.
        let pin = pin.filter(|pin| rows.iter().any(|row| row.hash == *pin));
        let verdict = teams.judge(rows, newcomer, pin.as_ref())?.1;
        let standing = |row: &Row| match &verdict {
            Ok(verdict) if verdict.path().contains(&row.hash) => Standing::Counts,
            Ok(_) => Standing::Void,
            Err(_) => Standing::Unjudged,
        };
        Ok(rows.iter().map(standing).collect())
    }
}
