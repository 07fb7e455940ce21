using System.Diagnostics;
using System.Text;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>Waits for a state of real processes with a deadline, and says what it last saw when the deadline passes.</summary>
public static class Eventually
{
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    /// <summary>
    /// Reads again and again until <paramref name="holds"/>; returns the value that did. A read that fails (a server that is just
    /// starting or was just killed) counts as "not yet" and is shown when the deadline passes.
    /// </summary>
    public static async Task<T> HoldsAsync<T>(
        string what,
        Func<CancellationToken, Task<T>> read,
        Func<T, bool> holds,
        TimeSpan? within = null,
        Func<string>? explain = null,
        CancellationToken ct = default)
    {
        TimeSpan limit = within ?? DefaultDeadline;
        long start = Stopwatch.GetTimestamp();
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(limit);
        string last = "nothing was read";
        while (true)
        {
            try
            {
                T value = await read(deadline.Token).WaitAsync(deadline.Token);
                if (holds(value))
                {
                    return value;
                }

                last = value?.ToString() ?? "null";
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested)
            {
                // The deadline, or our caller: told apart below.
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                last = $"{e.GetType().Name}: {e.Message}";
            }

            ct.ThrowIfCancellationRequested();
            if (Stopwatch.GetElapsedTime(start) >= limit)
            {
                throw new TimeoutException(Message(what, limit, last, explain));
            }

            await Task.Delay(Pause, ct);
        }
    }

    public static Task HoldsAsync(
        string what, Func<bool> holds, TimeSpan? within = null, Func<string>? explain = null, CancellationToken ct = default)
        => HoldsAsync(what, _ => Task.FromResult(holds()), static value => value, within, explain, ct);

    private static string Message(string what, TimeSpan limit, string last, Func<string>? explain)
    {
        StringBuilder message = new();
        message.Append(what).Append(": not within ").Append((long)limit.TotalMilliseconds).AppendLine(" ms.");
        message.Append("Last seen: ").AppendLine(last);
        return message.Append(explain?.Invoke()).ToString();
    }
}
