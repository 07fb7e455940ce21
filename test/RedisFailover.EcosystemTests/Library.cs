using System.Diagnostics;
using System.Globalization;
using StackExchange.Redis;

namespace RedisFailover.EcosystemTests;

/// <summary>A library on the client: what it does again and again, and what has become of that in the end.</summary>
/// <param name="Name">As its package is called.</param>
/// <param name="ActAsync">Does the thing of that number; returns when the library says that it is done.</param>
/// <param name="LostAsync">Which of the things that it said were done are not there.</param>
internal sealed record Library(string Name, Func<int, CancellationToken, Task> ActAsync, Func<IReadOnlyCollection<int>,
    Task<int>> LostAsync) : IAsyncDisposable
{
    public Func<ValueTask> EndAsync { get; init; } = () => default;

    /// <summary>Things that nobody vouches for: a message is heard, or missed while the subscriptions stand still.</summary>
    public bool MayMiss { get; init; }

    public ValueTask DisposeAsync() => EndAsync();
}

/// <summary>What was seen of one library.</summary>
internal sealed record Outcome(string Library, bool MayMiss, int Done, int Errors, TimeSpan LongestGap, int Lost, int DoneAfterwards,
    string? LastError)
{
    /// <summary>Whether the longest gap had not ended when it was told to stop.</summary>
    public bool IsOpen { get; init; }

    /// <summary>Longest gap / errors / lost, as the table has it.</summary>
    public string Cell
    {
        get
        {
            string seconds = string.Create(CultureInfo.InvariantCulture, $"{LongestGap.TotalSeconds:0.0} s");
            string gap = IsOpen ? $"> {seconds}"
                : LongestGap < TimeSpan.FromSeconds(1) ? $"{LongestGap.TotalMilliseconds:0} ms" : seconds;
            return Done == 0 ? $"none / {Errors} / -" : $"{gap} / {Errors} / {(Lost < 0 ? "not readable" : Lost)}";
        }
    }

    /// <summary>
    /// Lets it act until told to stop; a failure of the library is counted, and it goes on. Its longest gap is that after the fault: before
    /// that all of them start, and .NET compiles them.
    /// </summary>
    public static async Task<Outcome> WatchAsync(Library library, Func<Moment> now, CancellationToken stop)
    {
        Moment before = Moment.Before;
        List<int> done = [];
        int errors = 0;
        int afterwards = 0;
        string? last = null;
        TimeSpan longest = TimeSpan.Zero;
        long since = Stopwatch.GetTimestamp();
        for (int number = 0; !stop.IsCancellationRequested; number++)
        {
            try
            {
                (bool isStruck, before) = (before == Moment.Before && now() != Moment.Before, now());
                longest = isStruck ? TimeSpan.Zero : longest;
                await library.ActAsync(number, stop).WaitAsync(TimeSpan.FromSeconds(40), CancellationToken.None);
                done.Add(number);
                afterwards += now() == Moment.Afterwards ? 1 : 0;
                TimeSpan gap = Stopwatch.GetElapsedTime(since);
                longest = gap > longest ? gap : longest;
                since = Stopwatch.GetTimestamp();
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
            }
            catch (Exception failure)
            {
                errors++;
                last = $"{failure.GetType().Name}: {failure.Message}";
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), CancellationToken.None);
        }

        // One that is dead for good has no gap that ends.
        TimeSpan open = Stopwatch.GetElapsedTime(since);
        return new Outcome(library.Name, library.MayMiss, done.Count, errors, open > longest ? open : longest,
            await LostAsync(library, done), afterwards, last)
        { IsOpen = open > longest && open > TimeSpan.FromSeconds(1) };
    }

    /// <summary>-1 where the library cannot even be asked any more.</summary>
    private static async Task<int> LostAsync(Library library, List<int> done)
    {
        try
        {
            return await library.LostAsync(done);
        }
        catch (Exception failure) when (failure is RedisException or TimeoutException)
        {
            return -1;
        }
    }
}

/// <summary>Where a run stands.</summary>
internal enum Moment
{
    /// <summary>The master is well.</summary>
    Before,

    /// <summary>It has been struck.</summary>
    Struck,

    /// <summary>Another one has been master for a second.</summary>
    Afterwards,
}
