import Jobs

runCommand(RDBench.self, named: "rd-bench")
