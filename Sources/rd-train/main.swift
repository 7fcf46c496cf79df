import Jobs

runCommand(TrainingOptions.self, named: "rd-train")
