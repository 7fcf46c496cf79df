import Jobs
import Numerics

runCommand(RDBench.self, named: "rd-bench")
