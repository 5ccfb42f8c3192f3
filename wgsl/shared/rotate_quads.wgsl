// Rotates the groups of a head that neighbouring lanes of subgroups of 32 or more hold, four values each, whatever sizes
// the groups have.

#import butterfly
#import signs

// The largest `x` of the lanes of each group of `n` values.
fn max_of_group(x: u32, n: u32) -> u32 {
    var m = x;
#repeat S 5
    m = select(m, max(m, subgroupShuffleXor(m, 1u << S)), (4u << S) < n);
#end
    return m;
}

// Flips by `first`, transforms, flips by `second`; `quad` counts the lanes of the head, `n` is the size of the lane's
// group. The result is sqrt(n) times too large.
fn rotate_quads(x: vec4<f32>, quad: u32, n: u32, first: vec4<u32>, second: vec4<u32>) -> vec4<f32> {
    let place = quad & (n / 4u - 1u);
    var v = butterflies4(flip4(x, first, place));
#repeat S 5
    {
        let other = subgroupShuffleXor(v, 1u << S);
        let low = (place & (1u << S)) == 0u;
        let next = opaque4(select(other, v, low) + select(-v, other, low));
        v = select(v, next, (4u << S) < n);
    }
#end
    return flip4(v, second, place);
}
