import Jobs
import Numerics

runCommand(EvaluationCommand.self, named: "rd-eval")
