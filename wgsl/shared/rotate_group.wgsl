// Rotates one group held by one invocation: signs, Walsh-Hadamard transform, signs; sqrt(N) times too large.
//
// Words: N values in a group, LOG_N their logarithm; import it with rotate_group=NAME once per size.
// All loops are unrolled, so that the group stays in registers.

#import butterfly
#import signs

fn rotate_group(group: ptr<function, array<vec4<f32>, N / 4>>, first: vec4<u32>, second: vec4<u32>) {
#repeat Q N / 4
    (*group)[Q] = butterflies4(flip4((*group)[Q], first, Q));
#end
#repeat S LOG_N - 2
#repeat P N / 8
    {
        const at = ((P >> S) << (S + 1)) | (P & ((1 << S) - 1));
        let a = (*group)[at];
        let b = (*group)[at + (1 << S)];
        (*group)[at] = opaque4(a + b);
        (*group)[at + (1 << S)] = opaque4(a - b);
    }
#end
#end
#repeat Q N / 4
    (*group)[Q] = flip4((*group)[Q], second, Q);
#end
}
