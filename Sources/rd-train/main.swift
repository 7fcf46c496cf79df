import Numerics
import Training

fitMatrixProductsToProcessor()
runCommand(TrainingOptions.self, named: "rd-train")
