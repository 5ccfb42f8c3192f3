// Bit planes and nibbles: transposing four bits of four words, and levels from eight planes.

// Signed bytes of four rows of eight values: component r of `even` holds values 0, 2, 4, 6 of row r, `odd` the others.
struct Levels {
    even: vec4<u32>,
    odd: vec4<u32>,
}

// Bit r of nibble j of word k of the result is bit k of nibble j of word r. Its own inverse.
fn transpose_nibbles(w: vec4<u32>) -> vec4<u32> {
    let low = (w.xy & vec2<u32>(0x33333333u)) | ((w.zw << vec2<u32>(2u)) & vec2<u32>(0xccccccccu));
    let high = ((w.xy >> vec2<u32>(2u)) & vec2<u32>(0x33333333u)) | (w.zw & vec2<u32>(0xccccccccu));
    let a = vec2<u32>(low.x, high.x);
    let b = vec2<u32>(low.y, high.y);
    let even = (a & vec2<u32>(0x55555555u)) | ((b << vec2<u32>(1u)) & vec2<u32>(0xaaaaaaaau));
    let odd = ((a >> vec2<u32>(1u)) & vec2<u32>(0x55555555u)) | (b & vec2<u32>(0xaaaaaaaau));
    return vec4<u32>(even.x, odd.x, even.y, odd.y);
}

// Levels whose bits 0 to 3 and 4 to 7 are these planes; value j of row r is at bit 4 j + r.
fn levels_of_planes(low: vec4<u32>, high: vec4<u32>) -> Levels {
    let n = transpose_nibbles(low);
    let h = transpose_nibbles(high);
    let even = (n & vec4<u32>(0x0f0f0f0fu)) | ((h << vec4<u32>(4u)) & vec4<u32>(0xf0f0f0f0u));
    let odd = ((n >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)) | (h & vec4<u32>(0xf0f0f0f0u));
    return Levels(even, odd);
}
