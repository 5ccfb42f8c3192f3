// Rotates one group held by N / 4 neighbouring lanes of a subgroup, four values each; sqrt(N) times too large.
//
// Words: N values in a group, LOG_N their logarithm; import it with rotate_lanes=NAME max_lanes=NAME once per size.
// The subgroup has at least N / 4 lanes, and all of them take part.

#import butterfly
#import signs

// `quad` is the lane's place in its group, 0 .. N / 4 - 1.
fn rotate_lanes(x: vec4<f32>, quad: u32, first: vec4<u32>, second: vec4<u32>) -> vec4<f32> {
    var v = butterflies4(flip4(x, first, quad));
#repeat S LOG_N - 2
    {
        let other = subgroupShuffleXor(v, 1u << S);
        // The lane with the bit set takes the difference.
        let negative = (quad << (31u - S)) & 0x80000000u;
        v = opaque4(other + bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) ^ vec4<u32>(negative)));
    }
#end
    return flip4(v, second, quad);
}

// The largest `x` of the group.
fn max_lanes(x: u32) -> u32 {
    var m = x;
#repeat S LOG_N - 2
    m = max(m, subgroupShuffleXor(m, 1u << S));
#end
    return m;
}
