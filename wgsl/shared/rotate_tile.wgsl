// Rotates the groups of a tile: signs, Walsh-Hadamard transform, signs; sqrt(group size) times too large.
//
// Words: those of tile. A group of n values takes part in the strides below n only.

#import butterfly
#import signs
#import tile

// Place of vector `v` of a lane in its group of `size` values.
fn quad_of_group(lane: u32, v: u32, size: u32) -> u32 {
    return (lane * Q + v) & (size / 4u - 1u);
}

fn rotate_tile(tile: ptr<function, Tile>, lane: u32, sizes: Blocks, first: vec4<u32>, second: vec4<u32>) {
#repeat V Q
    (*tile)[V] = butterflies4(flip4((*tile)[V], first, quad_of_group(lane, V, sizes[V / 4])));
#end
#repeat S LOG_Q
#repeat P Q / 2
    {
        const at = ((P >> S) << (S + 1)) | (P & ((1 << S) - 1));
        let a = (*tile)[at];
        let b = (*tile)[at + (1 << S)];
        let joined = sizes[at / 4] > (4u << S);
        (*tile)[at] = select(a, opaque4(a + b), joined);
        (*tile)[at + (1 << S)] = select(b, opaque4(a - b), joined);
    }
#end
#end
#repeat S LOG_LANES
#repeat V Q
    {
        let own = (*tile)[V];
        let other = subgroupShuffleXor(own, 1u << S);
        // The lane with the bit set takes the difference.
        let negative = (lane << (31u - S)) & 0x80000000u;
        let sum = opaque4(other + bitcast<vec4<f32>>(bitcast<vec4<u32>>(own) ^ vec4<u32>(negative)));
        (*tile)[V] = select(own, sum, sizes[V / 4] > ((4u * Q) << S));
    }
#end
#end
#repeat V Q
    (*tile)[V] = flip4((*tile)[V], second, quad_of_group(lane, V, sizes[V / 4]));
#end
}
