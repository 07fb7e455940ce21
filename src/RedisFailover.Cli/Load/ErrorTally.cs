using System.Collections.Immutable;
using System.Text.RegularExpressions;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Cli.Load;

/// <summary>
/// A kind of error: what failed, how, and the message of the first. Messages that differ in a time alone are of one kind.
/// </summary>
internal sealed partial record ErrorKind(string Operation, string Type, string Message)
{
    private string Pattern => Times().Replace(Message, "ms");

    public bool Equals(ErrorKind? other)
        => other is not null && Operation == other.Operation && Type == other.Type && Pattern == other.Pattern;

    public override int GetHashCode() => HashCode.Combine(Operation, Type, Pattern);

    [GeneratedRegex("[0-9.]+ ms", RegexOptions.CultureInvariant)]
    private static partial Regex Times();
}

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
            ImmutableArray<(ErrorKind, long)> grown =
                [.. _counts.Where(kind => kind.Value.Count > kind.Value.Told).Select(kind => (kind.Key, kind.Value.Count))];
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
        return new ErrorKind(operation, error.GetType().Name, message + cause);
    }

    private static string Failure(Exception inner)
        => inner is RedisConnectionException connection
            ? $"{nameof(RedisConnectionException)}: {connection.FailureType}" : inner.GetType().Name;
}
