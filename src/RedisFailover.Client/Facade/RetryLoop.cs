using Polly;
using Polly.Retry;

namespace RedisFailover.Client;

/// <summary>
/// The loop of the repeated attempts of one call: a pipeline of Polly's, in which <see cref="Retries"/> judges each failure and makes each
/// pause. The first attempt was made without it, so that a call which succeeds at once allocates nothing; its failure stands here for the
/// pipeline's first.
/// </summary>
/// <remarks>
/// Nothing in Polly depends on the type of the result: what is compiled for one type has been for all. It is the <see cref="Warmup"/> that
/// pays for the compiling, about 200 methods: after it the first failover of a process took 1.7 ms from the topology to the first write,
/// with a loop by hand in the place of Polly 1.6 (medians of 12 processes each, in turns); without it 8.3 against 4.6 (4 each).
/// </remarks>
internal static class RetryLoop
{
    private static readonly ResiliencePropertyKey<Retries> s_retries = new("redis_failover.retries");

    // Bounded by WriteWait, which is no number of attempts: the judge throws when it is over. A new snapshot ends a pause early,
    // which Polly's own cannot be: it is over when the generator returns.
    private static readonly ResiliencePipeline s_pipeline = new ResiliencePipelineBuilder()
        .AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = static attempt => new(attempt.Outcome.Exception is { } failure && Of(attempt.Context).IsRepeatable(failure)),
            DelayGenerator = static attempt => PauseAsync(Of(attempt.Context)),
        })
        .Build();

    /// <summary>
    /// Makes attempts until one succeeds or its failure is final, which is thrown as the caller is to see it. Where the retries and the
    /// attempts block, nothing is awaited, by Polly neither: the task is complete on return.
    /// </summary>
    /// <param name="retries">The call's.</param>
    /// <param name="first">How the first attempt failed; null when none was made because there was no node.</param>
    /// <param name="attempt">Asks <see cref="Retries.NodeAsync"/> where to.</param>
    public static async Task RunAsync(Retries retries, Exception? first, Func<Task> attempt)
    {
        ResilienceContext context = ContextOf(retries);
        await s_pipeline.ExecuteAsync(
            (_, attempt)
                => new ValueTask(Interlocked.Exchange(ref first, null) is { } failure ? Task.FromException(failure) : attempt()), context,
                    attempt).ConfigureAwait(false);
        ResilienceContextPool.Shared.Return(context);
    }

    private static Retries Of(ResilienceContext context) => context.Properties.GetValue(s_retries, null!);

    private static ResilienceContext ContextOf(Retries retries)
    {
        ResilienceContext context = ResilienceContextPool.Shared.Get(continueOnCapturedContext: false);
        context.Properties.Set(s_retries, retries);
        return context;
    }

    private static async ValueTask<TimeSpan?> PauseAsync(Retries retries)
    {
        await retries.PauseAsync().ConfigureAwait(false);
        return TimeSpan.Zero;
    }
}
