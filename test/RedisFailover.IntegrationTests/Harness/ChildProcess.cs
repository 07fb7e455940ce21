using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>What to start: a program, its arguments and, beside the inherited ones, environment variables (null removes one).</summary>
public sealed record ChildProcessOptions(string Name, string FileName, ImmutableArray<string> Arguments)
{
    public ImmutableDictionary<string, string?> Environment { get; init; } = ImmutableDictionary<string, string?>.Empty;

    public string? WorkingDirectory { get; init; }
}

/// <summary>One started process: its lines as they come, signals, and its end.</summary>
public sealed class ChildProcess : IAsyncDisposable
{
    private const int MaxLines = 5000;
    private readonly Process _process;
    private readonly Lock _lock = new();
    private readonly List<string> _output = [];
    private readonly List<string> _errors = [];
    private readonly List<string> _log = [];
    private readonly Task _read;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ChildProcess(string name, Process process)
    {
        Name = name;
        _process = process;
        Pid = process.Id;
        _read = Task.WhenAll(ReadAsync(process.StandardOutput, _output), ReadAsync(process.StandardError, _errors));
    }

    public string Name { get; }

    public int Pid { get; }

    public bool IsRunning => !_process.HasExited;

    /// <summary>Both streams' lines in the order in which they were read, at most the last few thousand.</summary>
    public ImmutableArray<string> Log => Copy(_log);

    public ImmutableArray<string> Output => Copy(_output);

    public ImmutableArray<string> Errors => Copy(_errors);

    public static async Task<ChildProcess> StartAsync(ChildProcessOptions options, CancellationToken ct = default)
    {
        ct.ThrowIfCancellationRequested();
        ProcessStartInfo info = new(options.FileName)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = options.WorkingDirectory ?? "",
        };
        foreach (string argument in options.Arguments)
        {
            info.ArgumentList.Add(argument);
        }

        foreach ((string key, string? value) in options.Environment)
        {
            info.Environment[key] = value;
        }

        Process process = await ProcessStarter.StartAsync(info);
        process.StandardInput.Close();
        return new ChildProcess(options.Name, process);
    }

    /// <summary>kill -9, without waiting for the end.</summary>
    public void Kill() => Signal(9);

    /// <summary>SIGTERM, without waiting for the end.</summary>
    public void Terminate() => Signal(15);

    /// <summary>SIGINT, as Ctrl-C sends it.</summary>
    public void Interrupt() => Signal(2);

    /// <summary>SIGHUP, as the end of a terminal or a supervisor's reload sends it.</summary>
    public void HangUp() => Signal(1);

    /// <summary>SIGSTOP: its connections stay open and nobody answers.</summary>
    public void Freeze() => Signal(19);

    /// <summary>SIGCONT.</summary>
    public void Thaw() => Signal(18);

    /// <summary>The exit code, once the process has ended and all its output is read. 137 means killed by -9.</summary>
    public async Task<int> WaitForExitAsync(CancellationToken ct = default)
    {
        await _process.WaitForExitAsync(ct);
        await _read.WaitAsync(ct);
        return _process.ExitCode;
    }

    /// <summary>kill -9 and wait until the kernel has closed its sockets.</summary>
    public async Task KillAsync(CancellationToken ct = default)
    {
        Kill();
        await _process.WaitForExitAsync(ct);
    }

    /// <summary>
    /// The first line, past or to come, that fits; throws with the log's tail when there is none in time (a minute, if nothing is said)
    /// or the process ends.
    /// </summary>
    public async Task<string> WaitForLineAsync(Func<string, bool> fits, TimeSpan? within = null, CancellationToken ct = default)
    {
        TimeSpan limit = within ?? Eventually.DefaultDeadline;
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(limit);
        int seen = 0;
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                for (; seen < _log.Count; seen++)
                {
                    if (fits(_log[seen]))
                    {
                        return _log[seen];
                    }
                }

                changed = _changed.Task;
            }

            if (_read.IsCompleted)
            {
                throw new InvalidOperationException($"{Name} ended without the expected line.\n{Tail()}");
            }

            try
            {
                await Task.WhenAny(changed, _read).WaitAsync(deadline.Token);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                throw new TimeoutException($"{Name} did not print the expected line within {limit.TotalMilliseconds:0} ms.\n{Tail()}");
            }
        }
    }

    public string Tail(int lines = 30)
    {
        ImmutableArray<string> log = Log;
        string state = IsRunning ? "running" : $"ended with {_process.ExitCode}";
        return $"--- {Name} (pid {Pid}, {state}), last lines:\n{string.Join('\n', log.Skip(Math.Max(0, log.Length - lines)))}";
    }

    public async ValueTask DisposeAsync()
    {
        Kill();
        await _process.WaitForExitAsync();
        // A grandchild may hold the pipe open for longer than the process lives.
        await Task.WhenAny(_read, Task.Delay(TimeSpan.FromSeconds(1)));
        _process.Dispose();
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SendSignal(int pid, int signal);

    internal void Signal(int signal)
    {
        if (!_process.HasExited)
        {
            _ = SendSignal(Pid, signal);
        }
    }

    private async Task ReadAsync(StreamReader reader, List<string> lines)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            TaskCompletionSource changed;
            lock (_lock)
            {
                Add(lines, line);
                Add(_log, line);
                changed = _changed;
                _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            changed.SetResult();
        }
    }

    private static void Add(List<string> lines, string line)
    {
        if (lines.Count == MaxLines)
        {
            lines.RemoveRange(0, MaxLines / 2);
        }

        lines.Add(line);
    }

    private ImmutableArray<string> Copy(List<string> lines)
    {
        lock (_lock)
        {
            return [.. lines];
        }
    }
}
