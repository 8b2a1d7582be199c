//! Decoder of telegrams: layer by layer down to the records.

use super::address::Address;
use super::compact::{CompactError, Formats};
use super::identifier::as_identifier;
use super::keys::KeyRing;
use super::layers::{Afl, Content, Ell, Tpl};
use super::link::{self, Format, HEADER, Link, LinkError};
use super::makers::{self, Context, Decoded};
use super::security::{Envelope, Security, decrypt_link};
use crate::mbus::{Function, Record, RecordError, walk};

/// Header of a record with the address of the meter: 64 bits, enhanced identification.
const IDENTIFICATION: [u8; 2] = [0x07, 0x79];
/// Most layers between the address and the records.
const MAX_LAYERS: usize = 8;

/// Decoder with the formats of compact frames that it has learned.
///
/// ```
/// use metertap_decode::wmbus::{Decoder, KeyRing, report};
///
/// // A water meter in plain text: its identification is 12345678, its volume 1.234 m3.
/// let bytes = [
///     0x14, 0x44, 0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 0x01, 0x07, 0x7A, 0x2A, 0x00, 0x00, 0x00, 0x04, 0x13, 0xD2, 0x04, 0x00,
///     0x00,
/// ];
/// let telegram = Decoder::default().decode(&bytes, &KeyRing::default())?;
/// assert_eq!(telegram.meter.number(), "12345678");
/// let report = report(&telegram);
/// let volume = report.reading.get("volume").and_then(|value| value.quantity()).unwrap();
/// assert_eq!((volume.value.to_string().as_str(), volume.unit.as_str()), ("1.234", "m3"));
/// # Ok::<(), metertap_decode::wmbus::TelegramError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Formats of compact frames. The caller stores the learned ones.
    pub formats: Formats,
}

/// Decoded telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// The telegram without CRCs, as it was received.
    pub bytes: Vec<u8>,
    /// Form in which it was given.
    pub format: Format,
    /// Link layer: C field, and address of the radio.
    pub link: Link,
    /// Extended link layer.
    pub ell: Option<Ell>,
    /// Authentication and fragmentation layer.
    pub afl: Option<Afl>,
    /// Transport layer.
    pub tpl: Tpl,
    /// Address of the meter: that of a long header or of a record with an identification, or else that of the radio.
    pub meter: Address,
    /// What is measured, such as `water`.
    pub medium: &'static str,
    /// Encryption, and whether values may be used.
    pub security: Security,
    /// Everything behind the header of the transport layer, as far as possible decrypted, and compact frames in full.
    pub payload: Vec<u8>,
    /// Records, and values of payloads that manufacturers define, as records. Empty unless
    /// [`security`](Self::security) allows to use them.
    pub records: Vec<Record>,
    /// True if the payload is ordinary records, which [`mbus::walk`](crate::mbus::walk) takes apart.
    pub has_ordinary_records: bool,
    /// Reason why records are missing.
    pub problem: Option<Problem>,
    /// True if the telegram has taught a format of compact frames.
    pub has_taught: bool,
}

/// Reason why a telegram that can be attributed to a meter has no records, or not all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A record is malformed; those before it are there.
    #[error("{0}")]
    Record(RecordError),
    /// A compact frame cannot be read.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// The payload is in a format that only the manufacturer knows.
    #[error("CI {0:02X} has no ordinary records, and no decoder knows those of this meter")]
    Unknown(u8),
    /// The message has further fragments, in other telegrams.
    #[error("the message is divided into several telegrams, which is not supported")]
    Fragment,
}

/// Error for bytes that are not a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelegramError {
    /// The link layer is malformed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The telegram ends within a layer.
    #[error("the telegram ends within the layer with CI {0:02X}")]
    Truncated(u8),
    /// The extended link layer is encrypted in an unknown way, or has an unknown form.
    #[error("expected CI 8C, 8D, 8E or 8F for an extended link layer, found {0:02X}")]
    UnknownLayer(u8),
    /// The layers do not end.
    #[error("expected at most {MAX_LAYERS} layers, found more")]
    TooManyLayers,
}

impl Decoder {
    /// Decodes a telegram with or without CRCs.
    ///
    /// A telegram that cannot be decrypted is no error: its address is known all the same, and
    /// [`security`](Telegram::security) says why it has no records.
    ///
    /// # Errors
    /// As [`TelegramError`] describes.
    pub fn decode(&mut self, bytes: &[u8], keys: &KeyRing) -> Result<Telegram, TelegramError> {
        let (bytes, format) = link::strip(bytes)?;
        let truncated = LinkError::Truncated {
            stated: HEADER + 1,
            found: bytes.len(),
        };
        let mut link = Link::parse(&bytes).ok_or(truncated)?;
        if let Some(reordered) = makers::diehl::address(&bytes, &link.address) {
            link.address = reordered;
        }
        let layers = Layers::parse(&bytes, &link, keys)?;
        let meter = layers.tpl.meter.unwrap_or(link.address);
        let mut telegram = Telegram {
            format,
            link,
            ell: layers.ell,
            medium: makers::medium(&meter),
            meter,
            security: layers.security,
            has_ordinary_records: false,
            problem: None,
            records: Vec::new(),
            has_taught: false,
            payload: layers.rest,
            afl: layers.afl,
            tpl: layers.tpl,
            bytes,
        };
        telegram.decrypt(keys, layers.authenticated.as_deref());
        self.read(&mut telegram, keys);
        if !telegram.security.is_readable() {
            telegram.records.clear();
        }
        Ok(telegram)
    }

    /// Reads the records of the payload.
    fn read(&mut self, telegram: &mut Telegram, keys: &KeyRing) {
        let is_readable = telegram.security.is_readable();
        // What the transport layer says of encryption is not all: some payloads are encrypted in their manufacturer's way.
        if !is_readable
            && !matches!(
                telegram.security,
                Security::PlainRefused | Security::Unsupported(_)
            )
        {
            return;
        }
        if telegram.afl.as_ref().is_some_and(Afl::more_follows) {
            telegram.problem = Some(Problem::Fragment);
            return;
        }
        let context = telegram.context(keys);
        if let Some(Decoded { records, security }) = makers::decode(&context) {
            telegram.records = records;
            // The payload's own encryption has been opened with a key, so nobody else could have sent it.
            telegram.security = security.unwrap_or(telegram.security);
            return;
        }
        if !is_readable {
            return;
        }
        match telegram.tpl.content() {
            Content::Records => {}
            Content::Compact => match self.formats.expand(&telegram.payload) {
                Ok(full) => telegram.payload = full,
                Err(error) => {
                    telegram.problem = Some(error.into());
                    return;
                }
            },
            Content::Other => {
                telegram.problem = Some(Problem::Unknown(telegram.tpl.information));
                return;
            }
        }
        let mut records = Vec::new();
        let (mut tail, mut identification) = (None, None);
        let end = walk(&telegram.payload, |record, span| {
            if record.function == Function::ManufacturerSpecific {
                tail = Some(span.data.clone());
            }
            let header = &telegram.payload[span.header];
            let data = &telegram.payload[span.data];
            if header == IDENTIFICATION {
                identification = data.first_chunk().map(Address::from_header);
            }
            let record = as_identifier(record, header, data);
            let (meter, radio) = (&telegram.meter, &telegram.link.address);
            records.extend(makers::replace(meter, radio, record, header, data));
        });
        // Radio converters without a long header name their meter so.
        let identification = identification.filter(|meter| !meter.letters().is_empty());
        if let Some(meter) = identification.filter(|_| telegram.tpl.meter.is_none()) {
            telegram.meter = meter;
            telegram.medium = makers::medium(&meter);
        }
        if let Some(tail) = tail {
            let context = telegram.context(keys);
            records.extend(makers::tail(&context, &telegram.payload[tail]));
        }
        match end {
            Ok(_) if may_teach(telegram) => {
                telegram.has_taught = self.formats.learn(&telegram.payload);
            }
            Ok(_) => {}
            Err(error) => telegram.problem = Some(Problem::Record(error)),
        }
        telegram.has_ordinary_records = true;
        telegram.records = records;
    }
}

/// Returns true for full frames of Kamstrup, which alone sends compact ones, unless they may be nothing but noise.
fn may_teach(telegram: &Telegram) -> bool {
    let is_kamstrup = matches!(&*telegram.link.address.letters(), "KAM" | "KAW");
    let is_sure = !matches!(telegram.security, Security::Unproved(_));
    is_kamstrup && is_sure && telegram.tpl.content() == Content::Records
}

impl Telegram {
    /// Decrypts the payload of the transport layer.
    fn decrypt(&mut self, keys: &KeyRing, authenticated: Option<&[u8]>) {
        if matches!(self.security, Security::Decrypted(..)) && self.tpl.mode() == 0 {
            return;
        }
        if !self.security.is_readable() {
            return;
        }
        let real_data =
            makers::diehl::real_data(&self.bytes, &self.link.address, &self.tpl, &mut self.payload);
        let security = real_data.unwrap_or_else(|| {
            let envelope = Envelope {
                tpl: &self.tpl,
                afl: self.afl.as_ref(),
                meter: &self.meter,
                radio: &self.link.address,
                authenticated: authenticated.unwrap_or_default(),
            };
            envelope.decrypt(keys, &mut self.payload)
        });
        // Plain text inside of an encrypted layer is as secret as that layer.
        if security != Security::Plain || self.security == Security::Plain {
            self.security = security;
        }
    }

    fn context<'a>(&'a self, keys: &'a KeyRing) -> Context<'a> {
        Context {
            radio: &self.link.address,
            meter: &self.meter,
            tpl: &self.tpl,
            telegram: &self.bytes,
            payload: &self.payload,
            keys,
        }
    }

    /// Returns true if a repeater has sent the telegram.
    pub fn is_repeated(&self) -> bool {
        self.ell.is_some_and(|ell| ell.is_repeated())
    }

    /// Returns the counter of telegrams of the meter, or else that of the radio.
    pub fn access_number(&self) -> Option<u8> {
        self.tpl.access_number.or(self.ell.map(|ell| ell.access_number))
    }

    /// Returns the identification of the radio if it is not that of the meter.
    pub fn radio_number(&self) -> Option<String> {
        let radio = self.link.address.number();
        (radio != self.meter.number()).then_some(radio)
    }
}

/// Layers above the link layer.
struct Layers {
    ell: Option<Ell>,
    afl: Option<Afl>,
    tpl: Tpl,
    /// Encryption of the extended link layer.
    security: Security,
    /// What the MAC covers, if there is one.
    authenticated: Option<Vec<u8>>,
    /// Everything behind the header of the transport layer.
    rest: Vec<u8>,
}

impl Layers {
    fn parse(telegram: &[u8], link: &Link, keys: &KeyRing) -> Result<Self, TelegramError> {
        let mut rest = telegram.get(HEADER..).unwrap_or_default().to_vec();
        let (mut ell, mut afl, mut security) = (None, None, Security::Plain);
        for _ in 0..MAX_LAYERS {
            let Some(&information) = rest.first() else {
                return Err(TelegramError::Truncated(
                    telegram.get(1).copied().unwrap_or_default(),
                ));
            };
            let truncated = TelegramError::Truncated(information);
            match information {
                0x8C..=0x8F => {
                    let (layer, len) = Ell::parse(&rest).ok_or(truncated)?;
                    rest.drain(..len);
                    let is_encrypted = layer
                        .is_encrypted()
                        .map_err(|_| TelegramError::UnknownLayer(information))?;
                    if is_encrypted {
                        security = decrypt_link(&layer, &link.address, keys, &mut rest);
                    }
                    let has_crc = layer.session.is_some();
                    ell = Some(layer);
                    if !security.is_readable() {
                        // What follows cannot be understood, but the address can.
                        let tpl = Tpl::bare(0);
                        return Ok(Layers {
                            ell,
                            afl,
                            tpl,
                            security,
                            authenticated: None,
                            rest,
                        });
                    }
                    if has_crc {
                        rest.drain(..2.min(rest.len()));
                    }
                }
                0x86 => return Err(TelegramError::UnknownLayer(information)),
                // Network layer of a repeater: nothing but its CI byte has been seen.
                0x81 => {
                    rest.drain(..1);
                }
                0x90 => {
                    let (layer, len) = Afl::parse(&rest).ok_or(truncated)?;
                    rest.drain(..len);
                    afl = Some(layer);
                }
                _ => {
                    let (tpl, len) = Tpl::parse(&rest).ok_or(truncated)?;
                    let authenticated = afl.is_some().then(|| rest.clone());
                    rest.drain(..len);
                    return Ok(Layers {
                        ell,
                        afl,
                        tpl,
                        security,
                        authenticated,
                        rest,
                    });
                }
            }
        }
        Err(TelegramError::TooManyLayers)
    }
}
