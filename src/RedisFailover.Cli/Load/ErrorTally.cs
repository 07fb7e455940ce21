using System.Collections.Immutable;
using System.Text.RegularExpressions;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Cli.Load;

/// <summary>A kind of error: what failed, how, and the message.</summary>
internal sealed record ErrorKind(string Operation, string Type, string Message);

/// <summary>Counts errors by kind. Each is told once when it first comes, and again with its count while more of it come.</summary>
internal sealed class ErrorTally
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ErrorKind, (long Count, long Told)> _counts = [];

    internal long Total
    {
        get
        {
            lock (_lock)
            {
                return _counts.Values.Sum(count => count.Count);
            }
        }
    }

    // A time in a message would make each error a kind of its own.
    private static readonly Regex s_times = new("[0-9.]+ ms", RegexOptions.CultureInvariant);

    /// <summary>Counts it; true when it is the first of its kind.</summary>
    internal bool Add(ErrorKind kind)
    {
        lock (_lock)
        {
            bool first = !_counts.TryGetValue(kind, out (long Count, long Told) known);
            _counts[kind] = (known.Count + 1, first ? 1 : known.Told);
            return first;
        }
    }

    /// <summary>The kinds that have grown since they were last told, with their totals.</summary>
    internal ImmutableArray<(ErrorKind Kind, long Count)> Grown()
    {
        lock (_lock)
        {
            ImmutableArray<(ErrorKind, long)> grown = [.. _counts.Where(kind => kind.Value.Count > kind.Value.Told).Select(kind => (kind.Key, kind.Value.Count))];
            foreach ((ErrorKind kind, long count) in grown)
            {
                _counts[kind] = (count, count);
            }

            return grown;
        }
    }

    internal ImmutableArray<(ErrorKind Kind, long Count)> All()
    {
        lock (_lock)
        {
            return [.. _counts.Select(kind => (kind.Key, kind.Value.Count)).OrderByDescending(kind => kind.Count)];
        }
    }

    internal static ErrorKind KindOf(string operation, Exception error)
    {
        // Of what lies beneath, the kind only: StackExchange.Redis puts the state of its queues into its messages, another text each time.
        string cause = error.InnerException is { } inner ? $" ({Failure(inner)})" : "";
        string message = error is FailoverException ? error.Message : error.Message.Split('\n')[0].Split(';')[0];
        return new ErrorKind(operation, error.GetType().Name, s_times.Replace(message, "N ms") + cause);
    }

    private static string Failure(Exception inner)
        => inner is RedisConnectionException connection ? $"{nameof(RedisConnectionException)}: {connection.FailureType}" : inner.GetType().Name;
}
