//! Labels of both modes, the fields that they become, and the digits of their values.

use crate::unit::Unit;

/// Encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many digits, with this unit.
    Quantity(usize, Unit),
    /// So many digits, without a unit.
    Count(usize),
    /// Text.
    Text,
}

/// Returns the field of a label; `None` if it has no name.
pub(super) fn field(label: &str) -> Option<(&'static str, Kind)> {
    let found = TABLE.iter().find(|(known, ..)| *known == label);
    found.map(|(_, name, kind)| (*name, kind.clone()))
}

const WH: Kind = Kind::Quantity(9, Unit::Wh);
const VARH: Kind = Kind::Quantity(9, Unit::Varh);
const AMPERE: Kind = Kind::Quantity(3, Unit::A);
const VOLT: Kind = Kind::Quantity(3, Unit::V);
const VA: Kind = Kind::Quantity(5, Unit::VA);
const KVA: Kind = Kind::Quantity(2, Unit::KVA);
const WATT: Kind = Kind::Quantity(5, Unit::W);

#[rustfmt::skip]
static TABLE: &[(&str, &str, Kind)] = &[
    // Historique (Enedis-NOI-CPT_02E).
    ("OPTARIF", "tariff_schedule", Kind::Text),
    ("ISOUSC", "contracted_current", Kind::Quantity(2, Unit::A)),
    ("BASE", "energy_import_total", WH),
    ("HCHC", "energy_import_t1", WH),
    ("HCHP", "energy_import_t2", WH),
    ("EJPHN", "energy_import_t1", WH),
    ("EJPHPM", "energy_import_t2", WH),
    ("BBRHCJB", "energy_import_t1", WH),
    ("BBRHPJB", "energy_import_t2", WH),
    ("BBRHCJW", "energy_import_t3", WH),
    ("BBRHPJW", "energy_import_t4", WH),
    ("BBRHCJR", "energy_import_t5", WH),
    ("BBRHPJR", "energy_import_t6", WH),
    ("PEJP", "tariff_notice", Kind::Quantity(2, Unit::Minute)),
    ("PTEC", "tariff", Kind::Text),
    ("DEMAIN", "tariff_tomorrow", Kind::Text),
    ("IINST", "current_l1", AMPERE),
    ("IINST1", "current_l1", AMPERE),
    ("IINST2", "current_l2", AMPERE),
    ("IINST3", "current_l3", AMPERE),
    ("ADPS", "overload_current_l1", AMPERE),
    ("ADIR1", "overload_current_l1", AMPERE),
    ("ADIR2", "overload_current_l2", AMPERE),
    ("ADIR3", "overload_current_l3", AMPERE),
    ("IMAX", "current_max_l1", AMPERE),
    ("IMAX1", "current_max_l1", AMPERE),
    ("IMAX2", "current_max_l2", AMPERE),
    ("IMAX3", "current_max_l3", AMPERE),
    ("PMAX", "power_max", WATT),
    ("PAPP", "apparent_power_import", VA),
    ("MOTDETAT", "status", Kind::Text),
    // Standard (Enedis-NOI-CPT_54E).
    ("VTIC", "tic_version", Kind::Text),
    ("NGTF", "tariff_schedule", Kind::Text),
    ("LTARF", "tariff_name", Kind::Text),
    ("NTARF", "tariff", Kind::Count(2)),
    ("EAST", "energy_import_total", WH),
    ("EASF01", "energy_import_t1", WH),
    ("EASF02", "energy_import_t2", WH),
    ("EASF03", "energy_import_t3", WH),
    ("EASF04", "energy_import_t4", WH),
    ("EASF05", "energy_import_t5", WH),
    ("EASF06", "energy_import_t6", WH),
    ("EASF07", "energy_import_t7", WH),
    ("EASF08", "energy_import_t8", WH),
    ("EASF09", "energy_import_t9", WH),
    ("EASF10", "energy_import_t10", WH),
    ("EASD01", "energy_import_grid_t1", WH),
    ("EASD02", "energy_import_grid_t2", WH),
    ("EASD03", "energy_import_grid_t3", WH),
    ("EASD04", "energy_import_grid_t4", WH),
    ("EAIT", "energy_export_total", WH),
    ("ERQ1", "reactive_energy_q1_total", VARH),
    ("ERQ2", "reactive_energy_q2_total", VARH),
    ("ERQ3", "reactive_energy_q3_total", VARH),
    ("ERQ4", "reactive_energy_q4_total", VARH),
    ("IRMS1", "current_l1", AMPERE),
    ("IRMS2", "current_l2", AMPERE),
    ("IRMS3", "current_l3", AMPERE),
    ("URMS1", "voltage_l1", VOLT),
    ("URMS2", "voltage_l2", VOLT),
    ("URMS3", "voltage_l3", VOLT),
    ("UMOY1", "voltage_avg_l1", VOLT),
    ("UMOY2", "voltage_avg_l2", VOLT),
    ("UMOY3", "voltage_avg_l3", VOLT),
    ("PREF", "contracted_power", KVA),
    ("PCOUP", "cutoff_power", KVA),
    ("SINSTS", "apparent_power_import", VA),
    ("SINSTS1", "apparent_power_import_l1", VA),
    ("SINSTS2", "apparent_power_import_l2", VA),
    ("SINSTS3", "apparent_power_import_l3", VA),
    ("SINSTI", "apparent_power_export", VA),
    ("SMAXSN", "apparent_power_import_max_today", VA),
    ("SMAXSN1", "apparent_power_import_max_today_l1", VA),
    ("SMAXSN2", "apparent_power_import_max_today_l2", VA),
    ("SMAXSN3", "apparent_power_import_max_today_l3", VA),
    ("SMAXSN-1", "apparent_power_import_max_yesterday", VA),
    ("SMAXSN1-1", "apparent_power_import_max_yesterday_l1", VA),
    ("SMAXSN2-1", "apparent_power_import_max_yesterday_l2", VA),
    ("SMAXSN3-1", "apparent_power_import_max_yesterday_l3", VA),
    ("SMAXIN", "apparent_power_export_max_today", VA),
    ("SMAXIN-1", "apparent_power_export_max_yesterday", VA),
    ("CCASN", "power_import_avg", WATT),
    ("CCASN-1", "power_import_avg_previous", WATT),
    ("CCAIN", "power_export_avg", WATT),
    ("CCAIN-1", "power_export_avg_previous", WATT),
    ("STGE", "status", Kind::Text),
    ("MSG1", "message_short", Kind::Text),
    ("MSG2", "message_2", Kind::Text),
    ("PRM", "delivery_point", Kind::Text),
    ("RELAIS", "relays", Kind::Count(3)),
];
