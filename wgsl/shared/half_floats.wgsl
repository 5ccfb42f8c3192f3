// Units of 32 float weights: FLOAT 0 f32, 1 f16, 2 bf16. They stand in for those of weight_unit.wgsl.

#import float_pair

#if FLOAT == 0
#define VECTORS 8
#else
#define VECTORS 4
#endif

struct RawUnit {
    words: array<vec4<u32>, VECTORS>,
}

// The words of unit `unit` of the row that starts at word `base`, a multiple of 4. Behind the end of the row the last
// words again: they meet activations of zero.
fn raw_unit(base: u32, unit: u32) -> RawUnit {
    var raw: RawUnit;
    let last = params.row_words / 4u - 1u;
#repeat I VECTORS
    raw.words[I] = weights[base / 4u + min(unit * VECTORS + I, last)];
#end
    return raw;
}

// Nothing is left to be done.
fn decoded_unit(raw: RawUnit, unit: u32) -> RawUnit {
    return raw;
}

// Stores the values of a unit, times params.factor, to eight vectors of a tile from `at` on.
fn store_unit(raw: RawUnit, at: u32) {
#if FLOAT == 0
#repeat I 8
    store_row(at + I, bitcast<vec4<f32>>(raw.words[I]) * params.factor);
#end
#else
#repeat I 4
    {
        let words = raw.words[I];
        store_row(at + 2 * I, vec4<f32>(float_pair(words.x), float_pair(words.y)) * params.factor);
        store_row(at + 2 * I + 1, vec4<f32>(float_pair(words.z), float_pair(words.w)) * params.factor);
    }
#end
#endif
}
