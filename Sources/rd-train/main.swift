import Jobs
import Numerics

runCommand(TrainingOptions.self, named: "rd-train")
