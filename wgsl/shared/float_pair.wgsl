// Two values of a word: FLOAT 1 f16, 2 bf16.

#if FLOAT == 1
fn float_pair(word: u32) -> vec2<f32> {
    return unpack2x16float(word);
}
#endif
#if FLOAT == 2
fn float_pair(word: u32) -> vec2<f32> {
    return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}
#endif
