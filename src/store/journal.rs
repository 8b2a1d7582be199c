//! Readings under way, in a file that survives the process: what was accepted and is neither delivered nor in the spool.
//!
//! ```text
//!   header: magic, delivered, saved, taken, checksum │ record │ record │ …
//!   record: length, checksum, key, retain flag, length of the topic, topic, payload; all integers little-endian
//! ```
//!
//! A record is with the kernel when [`Journal::append`] returns, so `kill -9` does not touch it; nothing here waits for the
//! disk. The file lies in memory (tmpfs) where systemd provides a folder there, and beside the spool elsewhere.

use crate::store::database::{private, set_aside, with_suffix};
use crate::store::record::Record;
use crc::{CRC_32_ISO_HDLC, Crc};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"metertap journl2";
static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const HEADER: u64 = 48;
/// Length and checksum of a record.
const PREFIX: usize = 8;
/// Key, retain flag and length of the topic.
const FIELDS: usize = 13;
/// Settled records are cut off once they take this much: each time costs two system calls.
const SLACK: u64 = 64 << 10;
/// Limit of a record: an MQTT packet cannot be larger.
const MAX_RECORD: usize = 1 << 28;

/// Progress that a later process must know: everything up to these keys needs no record in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Readings up to this key are delivered, or lost and counted.
    pub delivered: u64,
    /// Readings up to this key are delivered or in the spool.
    pub saved: u64,
    /// Readings up to this key may have been published.
    pub taken: u64,
}

/// The journal file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// `None` while the file cannot be opened.
    file: Option<File>,
    /// Key and place of the records that are not settled, in their order.
    records: VecDeque<(u64, u64)>,
    end: u64,
    marks: Marks,
    next: u64,
}

/// Content of a journal that an earlier process has left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Readings that are neither delivered nor in the spool, with their keys, in their order.
    pub readings: Vec<(u64, Record)>,
    /// Progress of that process; zeros if there was no journal.
    pub marks: Marks,
}

impl Journal {
    /// Opens the file, or creates it with permissions 0600. One that cannot be understood is set aside. Without a file the
    /// journal works all the same, except that a kill loses what is under way; the error is returned beside it.
    pub fn open(path: &Path) -> (Self, Found, io::Result<()>) {
        let mut journal = Journal {
            path: path.to_owned(),
            file: None,
            records: VecDeque::new(),
            end: HEADER,
            marks: Marks::default(),
            next: 1,
        };
        let (found, result) = match journal.load() {
            Ok(found) => (found, Ok(())),
            Err(error) => (Found::default(), Err(error)),
        };
        (journal, found, result)
    }

    fn load(&mut self) -> io::Result<Found> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let parsed = parse(&bytes);
        if parsed.is_none() && !bytes.is_empty() {
            let aside = set_aside(&self.path)?;
            tracing::error!(
                file = %self.path.display(),
                set_aside = %aside.display(),
                "Journal is damaged or of another version; set aside, and a fresh one begun"
            );
        }
        let is_fresh = parsed.is_none();
        let (found, records, end) = parsed.unwrap_or((Found::default(), VecDeque::new(), HEADER));
        self.file = Some(private().create(true).truncate(false).open(&self.path)?);
        (self.marks, self.records, self.end) = (found.marks, records, end);
        if is_fresh {
            self.write_header()?;
        }
        Ok(found)
    }

    /// Key of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Raises the key of the next record to `next`.
    pub fn continue_from(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Appends a reading; returns its key, and an error if it is not in the file.
    pub fn append(&mut self, topic: &str, payload: &str, is_retained: bool) -> (u64, io::Result<()>) {
        let key = self.next;
        self.next += 1;
        let record = encode(key, topic, payload, is_retained);
        let result = self.write(&record);
        if result.is_ok() {
            self.records.push_back((key, self.end));
            self.end += record.len() as u64;
        }
        (key, result)
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = private().create(true).truncate(true).open(&self.path)?;
            self.file = Some(file);
            (self.end, self.records) = (HEADER, VecDeque::new());
            self.write_header()?;
        }
        match &self.file {
            // A part that was written before an error is overwritten by the next record, or fails its checksum.
            Some(file) => file.write_all_at(record, self.end),
            None => Ok(()),
        }
    }

    /// Records progress; settled records may be cut off.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written: a later process would publish readings again, and lose none.
    pub fn settle(&mut self, marks: Marks) -> io::Result<()> {
        if marks == self.marks {
            return Ok(());
        }
        self.marks = marks;
        let settled = marks.delivered.max(marks.saved);
        while self.records.front().is_some_and(|(key, _)| *key <= settled) {
            self.records.pop_front();
        }
        self.write_header()?;
        let first = self.records.front().map_or(self.end, |(_, place)| *place);
        match &self.file {
            Some(file) if self.records.is_empty() && self.end > SLACK => {
                file.set_len(HEADER)?;
                self.end = HEADER;
            }
            Some(_) if first > 16 * SLACK && first > self.end / 2 => self.compact(first)?,
            _ => {}
        }
        Ok(())
    }

    /// Writes a file without the records before `first` and moves it into place.
    fn compact(&mut self, first: u64) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut rest = vec![0; usize::try_from(self.end - first).unwrap_or_default()];
        file.read_exact_at(&mut rest, first)?;
        let temporary = with_suffix(&self.path, "new");
        let new = private().create(true).truncate(true).open(&temporary)?;
        new.write_all_at(&header(self.marks), 0)?;
        new.write_all_at(&rest, HEADER)?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = Some(new);
        let moved = first - HEADER;
        self.records.iter_mut().for_each(|(_, place)| *place -= moved);
        self.end -= moved;
        Ok(())
    }

    fn write_header(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.write_all_at(&header(self.marks), 0),
            None => Ok(()),
        }
    }
}

fn header(marks: Marks) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(marks.delivered.to_le_bytes());
    bytes.extend(marks.saved.to_le_bytes());
    bytes.extend(marks.taken.to_le_bytes());
    let sum = u64::from(checksum(&bytes));
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn encode(key: u64, topic: &str, payload: &str, is_retained: bool) -> Vec<u8> {
    let length = FIELDS + topic.len() + payload.len();
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(key.to_le_bytes());
    bytes.push(u8::from(is_retained));
    bytes.extend(u32::try_from(topic.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(payload.as_bytes());
    let sum = checksum(&bytes[PREFIX..]);
    bytes[4..PREFIX].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Parses a journal; `None` if the header is none. The records end at the first one that is not whole.
#[allow(clippy::type_complexity)]
fn parse(bytes: &[u8]) -> Option<(Found, VecDeque<(u64, u64)>, u64)> {
    let head = bytes.get(..HEADER as usize)?;
    let sum = u64::from(checksum(&head[..40]));
    if &head[..16] != MAGIC || integer(&head[40..]) != sum {
        return None;
    }
    let marks = Marks {
        delivered: integer(&head[16..24]),
        saved: integer(&head[24..32]),
        taken: integer(&head[32..40]),
    };
    let settled = marks.delivered.max(marks.saved);
    let mut found = Found {
        readings: Vec::new(),
        marks,
    };
    let (mut records, mut place, mut last) = (VecDeque::new(), HEADER as usize, 0);
    while let Some((key, record, length)) = parse_record(&bytes[place..]) {
        // Keys ascend: what follows a lower one was left behind by an earlier use of the file.
        if key <= last {
            break;
        }
        last = key;
        if key > settled {
            found.readings.push((key, record));
            records.push_back((key, place as u64));
        }
        place += length;
    }
    Some((found, records, place as u64))
}

fn parse_record(bytes: &[u8]) -> Option<(u64, Record, usize)> {
    let length = usize::try_from(integer(bytes.get(..4)?)).ok()?;
    if !(FIELDS..MAX_RECORD).contains(&length) {
        return None;
    }
    let body = bytes.get(PREFIX..PREFIX + length)?;
    if u64::from(checksum(body)) != integer(&bytes[4..PREFIX]) {
        return None;
    }
    let topic_length = usize::try_from(integer(&body[9..FIELDS])).ok()?;
    let text = std::str::from_utf8(&body[FIELDS..]).ok()?;
    let (topic, payload) = text.split_at_checked(topic_length)?;
    let record = Record {
        topic: topic.into(),
        payload: payload.into(),
        is_retained: body[8] != 0,
    };
    Some((integer(&body[..8]), record, PREFIX + length))
}

/// Little-endian integer of up to eight bytes.
fn integer(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Detects a record that was not written to its end.
fn checksum(bytes: &[u8]) -> u32 {
    CRC_32.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    fn open(path: &Path) -> (Journal, Found) {
        let (journal, found, result) = Journal::open(path);
        result.unwrap();
        (journal, found)
    }

    fn append(journal: &mut Journal, count: usize) {
        for i in 0..count {
            let (_, result) = journal.append(&format!("t{i}"), &"x".repeat(100), i % 2 == 0);
            result.unwrap();
        }
    }

    fn keys(found: &Found) -> Vec<u64> {
        found.readings.iter().map(|(key, _)| *key).collect()
    }

    fn delivered(delivered: u64) -> Marks {
        Marks {
            delivered,
            ..Marks::default()
        }
    }

    #[test]
    fn given_readings_then_a_later_process_finds_those_that_are_not_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, found) = open(&path);
        assert_eq!(found, Found::default());
        append(&mut journal, 5);
        journal.settle(delivered(2)).unwrap();
        let (mut journal, found) = open(&path);
        assert_eq!((keys(&found), found.marks), (vec![3, 4, 5], delivered(2)));
        assert_eq!(found.readings[0].1.topic, "t2");
        assert!(found.readings[0].1.is_retained && !found.readings[1].1.is_retained);
        journal.continue_from(6);
        append(&mut journal, 1);
        journal
            .settle(Marks {
                delivered: 2,
                saved: 4,
                taken: 6,
            })
            .unwrap();
        assert_eq!(keys(&open(&path).1), [5, 6]);
    }

    #[test]
    fn given_a_long_life_then_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, _) = open(&path);
        for round in 1..300 {
            append(&mut journal, 100);
            // A few are always under way.
            journal.settle(delivered(round * 100 - 3)).unwrap();
            let length = std::fs::metadata(&path).unwrap().len();
            assert!(length < 40 * SLACK, "{length}");
        }
        assert_eq!(keys(&open(&path).1), [29_898, 29_899, 29_900]);
        journal.settle(delivered(29_900)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), HEADER);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn given_a_journal_of_another_version_then_it_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        std::fs::write(&path, b"metertap journl9 and whatever it is that follows").unwrap();
        let (mut journal, found) = open(&path);
        assert_eq!(found, Found::default());
        append(&mut journal, 1);
        assert_eq!(keys(&open(&path).1), [1]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn given_no_folder_then_readings_get_keys_all_the_same_and_the_file_comes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/journal");
        let (mut journal, _, result) = Journal::open(&path);
        assert!(result.is_err());
        let (key, result) = journal.append("t", "{}", false);
        assert!(key == 1 && result.is_err());
        std::fs::create_dir(dir.path().join("missing")).unwrap();
        let (key, result) = journal.append("t", "{}", false);
        assert!(key == 2 && result.is_ok());
        assert_eq!(keys(&open(&path).1), [2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn given_a_kill_at_any_byte_then_the_records_before_it_are_whole(
            cut in 0usize..1000, payloads in prop::collection::vec("[a-zé\"]{0,40}", 1..20)
        ) {
            let mut bytes = header(Marks::default());
            let mut ends = vec![bytes.len()];
            for (key, payload) in (1..).zip(&payloads) {
                bytes.extend(encode(key, "a/b", payload, false));
                ends.push(bytes.len());
            }
            let cut = HEADER as usize + cut % (bytes.len() - HEADER as usize + 1);
            let (found, _, end) = parse(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(found.readings.len(), whole);
            prop_assert_eq!(end as usize, ends[whole]);
            for ((_, record), payload) in found.readings.iter().zip(&payloads) {
                prop_assert_eq!(&record.payload, payload);
            }
        }

        #[test]
        fn given_any_bytes_then_parsing_ends(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut file = header(Marks::default());
            file.extend(&bytes);
            let _ = parse(&bytes);
            let _ = parse(&file);
        }
    }
}
