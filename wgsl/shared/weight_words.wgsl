// The words of units of 32 values of a quantised weight row, as they lie in memory; weight_unit.wgsl says how, and what
// they stand for. A second matrix of the same type and columns: import it with weights=, raw_unit= and weight_word=.

#import raw_unit_words

fn weight_word(at: u32) -> u32 {
    return weights[at / 4u][at % 4u];
}

// The words of unit `unit` of the row that starts at word `base`, a multiple of 4.
fn raw_unit(base: u32, unit: u32) -> RawUnit {
    var raw: RawUnit;
#if LOW == 8
    raw.low = weights[base / 4u + unit * 2u];
    raw.low_too = weights[base / 4u + unit * 2u + 1u];
#endif
#if LOW == 4
    raw.low = weights[base / 4u + unit];
#endif
#if LOW == 2
    raw.low = weights[base / 4u + unit / 2u];
#endif
#if HIGH == 1
    raw.high.x = weight_word(base + params.high_plane + unit);
#endif
#if HIGH == 2
    let at = base + params.high_plane + unit * 2u;
    raw.high = vec2<u32>(weight_word(at), weight_word(at + 1u));
#endif
    let scales = base + params.scales;
#if SCALES == 4
    let group = scales + (unit / 8u) * 5u;
    raw.scales = vec2<u32>(weight_word(group), weight_word(group + 1u + (unit % 8u) / 2u));
#endif
#if SCALES == 2
    raw.scales.x = weight_word(scales + unit);
#endif
#if SCALES == 1
    raw.scales.x = weight_word(scales + unit / 2u);
#endif
#if SCALES == 3
    raw.scales.x = weight_word(scales + unit / 2u);
#endif
    return raw;
}
