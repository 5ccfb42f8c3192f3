// Values of a unit of quantised weights as f16, four at a time.

#ifdef TABLE
#define SIGNED_CODES
#endif
#if LOW == 8
#define SIGNED_CODES
#endif

// Four codes of a word as floats: as the last bits of 2^23, which is taken off again, because conversions are slow.
fn code_values(word: u32) -> vec4<f32> {
#ifdef SIGNED_CODES
    let bytes = word ^ 0x80808080u;
    let zero = 8388608.0 + 128.0;
#else
    let bytes = word;
#ifdef OFFSET
    let zero = 8388608.0 + f32(OFFSET);
#else
    let zero = 8388608.0;
#endif
#endif
    let parts = (vec4<u32>(bytes) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
    return bitcast<vec4<f32>>(parts | vec4<u32>(0x4b000000u)) - zero;
}

// Stores the values of a unit, times params.factor, to eight vectors of a tile from `at` on.
fn store_unit(u: Unit, at: u32) {
    let scale = u.scale * params.factor;
    let minimum = u.minimum * params.factor;
#repeat I 4
    store_row(at + I, code_values(u.first[I]) * scale.x - minimum.x);
    store_row(at + 4 + I, code_values(u.second[I]) * scale.y - minimum.y);
#end
}
