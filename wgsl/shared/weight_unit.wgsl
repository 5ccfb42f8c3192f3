// Units of 32 values of a quantised weight row, in the layout of turbo_gpu::weights.
//
// A row is a plane of low bits (LOW words a unit), a plane of high bits (HIGH words a unit), and scales. Value 4 j + k
// of a unit is byte k of word j, values 16 + 4 j + k those of the second half.
// Words: LOW 2, 4 or 8; HIGH 0, 1 or 2; SCALES 1 f16 a unit, 2 two f16 (scale, min) a unit, 3 bf16 a unit, 4 two f16 for
// 256 values and two bytes a unit; HALVES where the halves of a unit have their own scales; MINS; SIGNED bytes of scales;
// TABLE iq4 or mxfp4 where codes are indices of levels; OFFSET subtracted from every code.

#import weight_words

// Codes as bytes (not yet less OFFSET), scales and mins of the halves.
struct Unit {
    first: vec4<u32>,
    second: vec4<u32>,
    scale: vec2<f32>,
    minimum: vec2<f32>,
}

#ifdef TABLE
#if TABLE == 1
const LEVELS = array<u32, 4>(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
#else
const LEVELS = array<u32, 4>(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
#endif

// Byte k: the level that byte k of x names.
fn level_bytes(x: u32) -> u32 {
    var levels = 0u;
#repeat K 4
    {
        let code = (x >> (8u * K)) & 15u;
        let pair = select(LEVELS[0], LEVELS[1], (code & 4u) != 0u);
        let other = select(LEVELS[2], LEVELS[3], (code & 4u) != 0u);
        let word = select(pair, other, code > 7u);
        levels |= ((word >> ((code & 3u) * 8u)) & 0xffu) << (8u * K);
    }
#end
    return levels;
}

fn level_bytes_4(x: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(level_bytes(x.x), level_bytes(x.y), level_bytes(x.z), level_bytes(x.w));
}
#endif

fn half_of(word: u32, odd: u32) -> f32 {
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, odd != 0u);
}

// What the words of unit `unit` stand for.
fn decoded_unit(raw: RawUnit, unit: u32) -> Unit {
    var u: Unit;
#if LOW == 8
    u.first = raw.low;
    u.second = raw.low_too;
#endif
#if LOW == 4
    u.first = raw.low & vec4<u32>(0x0f0f0f0fu);
    u.second = (raw.low >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
#endif
#if LOW == 2
    let low = select(raw.low.xy, raw.low.zw, (unit & 1u) != 0u);
    u.first = (vec4<u32>(low.x) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u);
    u.second = (vec4<u32>(low.y) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u);
#endif
#if HIGH == 1
    let high = raw.high.x;
    u.first |= ((vec4<u32>(high) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(0x01010101u)) << vec4<u32>(LOW);
    u.second |= ((vec4<u32>(high) >> vec4<u32>(4u, 5u, 6u, 7u)) & vec4<u32>(0x01010101u)) << vec4<u32>(LOW);
#endif
#if HIGH == 2
    u.first |= ((vec4<u32>(raw.high.x) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u)) << vec4<u32>(LOW);
    u.second |= ((vec4<u32>(raw.high.y) >> vec4<u32>(0u, 2u, 4u, 6u)) & vec4<u32>(0x03030303u)) << vec4<u32>(LOW);
#endif
#ifdef TABLE
    u.first = level_bytes_4(u.first);
    u.second = level_bytes_4(u.second);
#endif
#if SCALES == 1
    u.scale = vec2<f32>(half_of(raw.scales.x, unit & 1u));
#endif
#if SCALES == 2
    let pair = unpack2x16float(raw.scales.x);
    u.scale = vec2<f32>(pair.x);
    u.minimum = vec2<f32>(-pair.y);
#endif
#if SCALES == 3
    u.scale = vec2<f32>(bitcast<f32>((raw.scales.x >> ((unit & 1u) * 16u)) << 16u));
#endif
#if SCALES == 4
    let factors = unpack2x16float(raw.scales.x);
    let bytes = raw.scales.y >> ((unit & 1u) * 16u);
#ifdef SIGNED
    let small = vec2<f32>(vec2<i32>(i32(bytes << 24u), i32(bytes << 16u)) >> vec2<u32>(24u));
#else
    let small = vec2<f32>(vec2<u32>(bytes, bytes >> 8u) & vec2<u32>(0xffu));
#endif
#ifdef HALVES
#ifdef MINS
    // A byte of a half is its scale in the low four bits, its min in the others.
    let parts = vec2<u32>(bytes, bytes >> 8u) & vec2<u32>(0xffu);
    u.scale = factors.x * vec2<f32>(parts & vec2<u32>(15u));
    u.minimum = factors.y * vec2<f32>(parts >> vec2<u32>(4u));
#else
    u.scale = factors.x * small;
#endif
#else
    u.scale = vec2<f32>(factors.x * small.x);
#ifdef MINS
    u.minimum = vec2<f32>(factors.y * small.y);
#endif
#endif
#endif
    return u;
}

// Unit `unit` of the row that starts at word `base`, a multiple of 4.
fn weight_unit(base: u32, unit: u32) -> Unit {
    return decoded_unit(raw_unit(base, unit), unit);
}
