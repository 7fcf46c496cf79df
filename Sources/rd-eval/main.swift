import Jobs
import Numerics

fitMatrixProductsToProcessor()
runCommand(EvaluationCommand.self, named: "rd-eval")
