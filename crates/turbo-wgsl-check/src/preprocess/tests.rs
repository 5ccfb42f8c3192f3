use super::*;

fn sources(files: &[(&str, &str)]) -> Sources {
    let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
    Sources { files, variants: String::new() }
}

fn run(files: &[(&str, &str)], defines: &[(&str, &str)]) -> Result<Preprocessed, String> {
    let defines = defines.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    preprocess(&sources(files), "kernels/a/k.wgsl", &defines).map_err(|e| e.to_string())
}

#[test]
fn words_are_replaced_whole_and_comments_dropped() {
    let source = "// head\n#define TWICE (2 * N)\nlet x = N + Nx + xN + 4N + 16u; // N\n\nlet y = TWICE;\n";
    let out = run(&[("kernels/a/k.wgsl", source)], &[("N", "32u")]).unwrap();
    assert_eq!(out.before, "let x = 32u + Nx + xN + 4N + 16u;\nlet y = (2 * 32u);\n");
    assert_eq!(out.place(1, 0), ("wgsl/kernels/a/k.wgsl".to_owned(), 3));
    assert_eq!(out.place(3, 1), ("wgsl/kernels/a/k.wgsl".to_owned(), 5));
}

#[test]
fn conditions_nest() {
    let source = "#ifdef A\n#if B == 2\none\n#else\ntwo\n#endif\n#else\nthree\n#endif\n#ifndef A\nfour\n#endif\n";
    let files = [("kernels/a/k.wgsl", source)];
    assert_eq!(run(&files, &[("A", ""), ("B", "2")]).unwrap().before, "one\n");
    assert_eq!(run(&files, &[("A", ""), ("B", "3")]).unwrap().before, "two\n");
    assert_eq!(run(&files, &[]).unwrap().before, "three\nfour\n");
}

#[test]
fn a_piece_is_imported_once_for_every_set_of_words() {
    let kernel = "#import f N=4 f=f4\n#import f N=8 f=f8\n#import f N=4 f=f4\nmain\n";
    let out = run(&[("kernels/a/k.wgsl", kernel), ("shared/f.wgsl", "fn f N\n")], &[]).unwrap();
    assert_eq!(out.before, "fn f4 4\nfn f8 8\nmain\n");
    assert_eq!(out.place(2, 0), ("wgsl/shared/f.wgsl".to_owned(), 1));
}

#[test]
fn repetition_counts_from_zero() {
    let source = "#repeat I N / 4\na[I]\n#repeat J 2\nb[I][J]\n#end\n#end\n";
    let out = run(&[("kernels/a/k.wgsl", source)], &[("N", "8")]).unwrap();
    assert_eq!(out.before, "a[0]\nb[0][0]\nb[0][1]\na[1]\nb[1][0]\nb[1][1]\n");
}

#[test]
fn params_are_declared_in_two_ways_and_lines_stay_known() {
    let out = run(&[("kernels/a/k.wgsl", "struct P { a: u32 }\n#params P\n\nfn main() {}\n")], &[]).unwrap();
    assert_eq!(
        out.text("enable f16;\n", ParamsMode::Immediate),
        "enable f16;\nstruct P { a: u32 }\nvar<immediate> params: P;\nfn main() {}\n"
    );
    assert!(out.text("", ParamsMode::Uniform).contains("@group(1) @binding(0) var<uniform> params: P;"));
    let lines: Vec<usize> = (2..5).map(|line| out.place(line, 1).1).collect();
    assert_eq!(lines, [1, 2, 4]);
}

#[test]
fn mistakes_name_file_and_line() {
    let fails = |source: &str, message: &str| {
        let error = run(&[("kernels/a/k.wgsl", source), ("shared/own.wgsl", "#import own\n")], &[]).unwrap_err();
        assert_eq!(error, format!("wgsl/kernels/a/k.wgsl:{message}"));
    };
    fails("x\n#import nothing\n", "2: #import nothing: there is no wgsl/shared/nothing.wgsl");
    fails("#endif\n", "1: #endif without #ifdef, #ifndef or #if");
    fails("#ifdef A\nx\n", "2: the condition of line 1 is not closed by #endif");
    fails("#repeat I 3\n#endif\n", "2: the #repeat of line 1 is not closed by #end");
    fails("#repeat I N\n#end\n", "1: #repeat I N: expected a number up to 256");
    fails("#if N == 3\n#endif\n", "1: #if N: no variant or #define gives N a value");
    fails("#params P\n#params P\n", "2: params are declared twice");
    fails(
        "#pragma once\n",
        "1: unknown directive #pragma: expected #import, #define, #ifdef, #ifndef, #if, #else, #endif, #repeat, #end \
         or #params",
    );
    let own = run(&[("kernels/a/k.wgsl", "#import own\n"), ("shared/own.wgsl", "\n#import own\n")], &[]);
    assert_eq!(own.unwrap_err(), "wgsl/shared/own.wgsl:2: #import own: it imports itself");
}
