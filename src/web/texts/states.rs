//! States of processes, and how they ended.

use super::{Text, TextRow, texts};

texts! {
    #[cfg(test)]
    STATE_TEXTS {
        StateRunning: "running", "运行";
        StateStarting: "starting", "启动中";
        StateBackoff: "backoff", "等待重试";
        StateStopping: "stopping", "停止中";
        StateFatal: "fatal", "严重故障";
        StateExited: "exited", "已退出";
        StateStopped: "stopped", "已停止";
        StateUnknown: "unknown", "未知";
        HealthNone: "", "";
        HealthHealthy: "healthy", "健康";
        HealthUnhealthy: "unhealthy", "不健康";

        DescribePid: "pid {0}", "进程号 {0}";
        DescribeNotStarted: "Not started", "未启动";
        DescribeUnknownError: "unknown error; see the log", "未知错误，请查看日志";
        DescribeSince: "since {0}", "自 {0}";
        NextAttempt: ", next attempt at {0}", "，下次尝试于 {0}";
        NextRun: ", next run {0}", "，下次运行 {0}";
        OnHold: ", on hold", "，已暂停看管";
        OnHoldUntil: ", on hold until {0}", "，暂停看管至 {0}";
        OnHoldReason: ", reason: {0}", "，原因：{0}";
        EventsDiscarded: "{0} events discarded; ", "丢弃了 {0} 个事件；";
        ExitCode: "exit status {0}", "退出码 {0}";
        ExitUnknown: "exit status unknown", "退出码未知";
        ExitDumped: "{0}, core dumped", "{0}，已转储核心";
        EndedTooEarly: "{0}, too early", "{0}，过早退出";
        EndedUnready: "{0}, before it was ready", "{0}，就绪之前";
        EndedNotReady: "readiness timeout, {0}", "就绪超时，{0}";
        EndedWatchdog: "watchdog, {0}", "看门狗，{0}";
        EndedUnhealthy: "unhealthy, {0}", "不健康，{0}";
        EndedStopped: "stopped, {0}", "已停止，{0}";
        ExitTime: "%b %-d %H:%M", "%-m月%-d日 %H:%M";
        ExitTimeSeconds: "%b %-d %H:%M:%S", "%-m月%-d日 %H:%M:%S";
    }
}
