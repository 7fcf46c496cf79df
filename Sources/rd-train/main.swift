import Jobs
import Numerics

fitMatrixProductsToProcessor()
runCommand(TrainingOptions.self, named: "rd-train")
