// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @its_own_result() {
  // expected-error@+1 {{'arith.addi': expected operand 0 to be defined before it is used}}
  %a = arith.addi %a, %a : index
  func.return
}

// -----

func.func @later(%i: index) {
  // expected-error@+1 {{'arith.addi': expected operand 1 to be defined before it is used}}
  %b = arith.addi %i, %a : index
  %a = arith.addi %i, %i : index
  func.return
}

// -----

func.func @of_another_branch(%c: i1) {
  cf.cond_br %c, ^left, ^right
^left:
  %a = arith.constant 1 : index
  cf.br ^end
^right:
  cf.br ^end
^end:
  // expected-error@+1 {{'arith.addi': expected operand 0 to be defined before it is used}}
  %b = arith.addi %a, %a : index
  func.return
}

// -----

// What is defined on every way here may be used, in regions too; what is never reached may be wrong.

func.func @every_way(%c: i1, %i: index) {
  %a = arith.addi %i, %i : index
  cf.cond_br %c, ^loop(%a : index), ^end
^loop(%n: index):
  %m = arith.addi %n, %a : index
  scf.if %c {
    %inner = arith.addi %m, %n : index
  }
  cf.cond_br %c, ^loop(%m : index), ^end
^end:
  %b = arith.addi %a, %i : index
  func.return
^never:
  %d = arith.addi %e, %a : index
  %e = arith.addi %i, %i : index
  func.return
}
