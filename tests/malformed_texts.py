"""Texts that the driver must refuse with a diagnostic and status 1."""

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "only a comment": b"// nothing\n",
    "unterminated string": b'"' + b"a" * 200,
    "unterminated string in an operation": b'func.func @f() attributes {a = "'
    + b"b" * 200
    + b"\n}",
    "bad escapes": b'"' + rb"\q" * 100 + b'"() : () -> ()',
    "NUL": b"func.func @f() { func.return }\0",
    "invalid UTF-8": b"func.func @f() \xff { func.return }",
    "deep attributes": b"#a = " + b"[" * 10_000,
    "deep modules": b"module {" * 10_000 + b"}" * 10_000,
    "deep operations at the limit": b"scf.execute_region {" * 199 + b"}" * 199,
    "deep prefix operators": b"#m = affine_map<(d0) -> (" + b"-" * 50_000 + b"d0)>",
    "giant splat": b"%0 = arith.constant dense<0.0> : tensor<999999999999xf32>",
    "giant splat in bytes": b'%0 = arith.constant dense<"0x00000000"> : tensor<999999999999xf32>',
    "giant splat by alias": b"!t = tensor<999999999999xf32>\n%0 = arith.constant dense<0.0> : !t",
    "giant integer type": b"%0 = arith.constant 1 : i39999999999",
    "giant integers": b"%0 = arith.constant dense<1> : tensor<2xi39999999999>",
    "giant number": b"%0 = arith.constant " + b"9" * 5000 + b" : i32",
    "digit that is no number": "%0 = arith.constant ²".encode(),
    "unknown operation": b'"nope.op"() : () -> ()',
    "unknown attribute": b'"func.return"() {a = #nope.attr} : () -> ()',
    "undefined value": b'"func.return"(%nothing) : (i32) -> ()',
    "missing properties": b'"sparsert.spmm"() : () -> ()',
    "a missing brace": b"func.func @f() {",
    "weight of rank 1": b"""func.func @f(%w: tensor<4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  %0 = sparsert.spmm %w, %x : tensor<4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<4x8xf32>
}""",
    "dynamic shape": b"""func.func @f(%w: tensor<?x?xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  %0 = sparsert.spmm %w, %x : tensor<?x?xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<4x8xf32>
}""",
}
