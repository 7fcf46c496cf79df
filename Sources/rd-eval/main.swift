import Diagnostics
import Numerics
import Training

fitMatrixProductsToProcessor()
runCommand(EvaluationCommand.self, named: "rd-eval")
