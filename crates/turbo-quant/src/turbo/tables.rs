//! The level tables of the turbo formats: constants computed by [`super::levels`], checked by its tests.

/// Levels and thresholds of one (bits, group size).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Table {
    /// Bits of a code: 2, 3 or 4.
    pub bits: u32,
    /// Values of the group: 128, 64, 32 or 16.
    pub n: u32,
    /// A level of 1 stands for about 1/multiplier of the group's norm.
    pub multiplier: u32,
    /// Decoded value = scale * level * 2^-shift.
    pub shift: i32,
    /// Positive levels ascending; entries from 2^(bits-1) on are 0.
    pub half: [i8; 8],
    /// Positive thresholds as f32 nearest n * t^2; entries from 2^(bits-1) - 1 on are infinite.
    pub t2: [f32; 7],
    /// The level of every code, ascending; entries from 2^bits on are 0.
    pub levels: [i8; 16],
}

impl Table {
    const fn new<const H: usize, const T: usize>(
        n: u32,
        multiplier: u32,
        shift: i32,
        levels: [i8; H],
        t2: [f32; T],
    ) -> Self {
        assert!(T + 1 == H);
        let mut table = Self {
            bits: H.trailing_zeros() + 1,
            n,
            multiplier,
            shift,
            half: [0; 8],
            t2: [f32::INFINITY; 7],
            levels: [0; 16],
        };
        let mut k = 0;
        while k < H {
            table.half[k] = levels[k];
            table.levels[H + k] = levels[k];
            table.levels[H - 1 - k] = -levels[k];
            if k < T {
                table.t2[k] = t2[k];
            }
            k += 1;
        }
        table
    }

    /// Number of positive levels, 2^(bits-1).
    pub const fn positive(&self) -> usize {
        1 << (self.bits - 1)
    }

    /// The positive thresholds in use.
    pub fn thresholds(&self) -> &[f32] {
        &self.t2[..self.positive() - 1]
    }
}

/// Every table: `TABLES[bits - 2][log2(n) - 4]`.
pub const TABLES: [[Table; 4]; 3] = [
    [
        Table::new(16, 267, 8, [30, 98], [0.919_300_3]),
        Table::new(32, 376, 9, [30, 99], [0.941_659_1]),
        Table::new(64, 371, 9, [21, 70], [0.962_620_14]),
        Table::new(128, 824, 10, [33, 110], [0.963_757_2]),
    ],
    [
        Table::new(16, 202, 8, [12, 37, 65, 101], [0.235_369_09, 1.019_9, 2.701_303_7]),
        Table::new(32, 327, 8, [14, 43, 76, 120], [0.243_077_19, 1.059_469_3, 2.874_131_4]),
        Table::new(64, 327, 8, [10, 31, 55, 88], [0.251_531_4, 1.106_678_2, 3.059_824_7]),
        Table::new(128, 463, 9, [10, 31, 55, 88], [0.250_931_8, 1.104_040_3, 3.052_531]),
    ],
    [
        Table::new(
            16,
            190,
            8,
            [6, 18, 30, 43, 57, 72, 90, 115],
            [0.063_822_72, 0.255_290_87, 0.590_470_9, 1.108_033_3, 1.843_878_1, 2.907_922_5, 4.656_51],
        ),
        Table::new(
            32,
            263,
            8,
            [6, 18, 30, 43, 57, 73, 92, 119],
            [0.066_619_44, 0.266_477_76, 0.616_345_47, 1.156_587_5, 1.954_632_9, 3.148_809_4, 5.149_243_4],
        ),
        Table::new(
            64,
            305,
            8,
            [5, 15, 25, 36, 48, 62, 79, 104],
            [0.068_798_71, 0.275_194_85, 0.64, 1.213_609_2, 2.081_161, 3.419_468, 5.76],
        ),
        Table::new(
            128,
            432,
            9,
            [5, 15, 25, 36, 48, 62, 79, 104],
            [0.068_587_1, 0.274_348_4, 0.638_031_54, 1.209_876_5, 2.074_76, 3.408_950_6, 5.742_284],
        ),
    ],
];

static STORED: [[Table; 4]; 3] = TABLES;

/// The table of codes of `bits` bits (2, 3, 4) in groups of `n` values (16, 32, 64, 128).
///
/// # Panics
/// For any other `bits` or `n`.
#[inline]
pub fn table(bits: u32, n: usize) -> &'static Table {
    assert!(matches!(n, 16 | 32 | 64 | 128), "{n} is no rotation group size");
    &STORED[bits as usize - 2][n.trailing_zeros() as usize - 4]
}
